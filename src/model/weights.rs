//! Weights from elsewhere: safetensors files whose names are those of torchvision's and timm's state dicts.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};

use crate::error::{Error, Result, nearest};
use crate::model::layout::{Layout, Parameter};

/// Parameters `[1, P]` and running statistics `[1, S]`, float32, from a file that has exactly the network's tensors.
/// Refuses a tensor that is missing, left over or of another shape, by name. (`num_batches_tracked` is passed over.)
pub fn load(layout: &Layout, path: &Path) -> Result<(Tensor, Tensor)> {
    let tensors = Tensor::read_safetensors(path)
        .map_err(|error| Error::bad_input(format!("cannot read weights from {}: {error}", path.display())))?;
    let mut tensors: BTreeMap<String, Tensor> =
        tensors.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
    let params = row(&layout.parameters, &mut tensors, path)?;
    let stats = row(&layout.statistics, &mut tensors, path)?;
    match tensors.keys().next() {
        None => Ok((params, stats)),
        Some(extra) => Err(Error::bad_input(format!("{}: the model has no tensor '{extra}'", path.display()))
            .hint("compare the model's keys with those of the program that wrote the weights")),
    }
}

fn row(parameters: &[Parameter], tensors: &mut BTreeMap<String, Tensor>, path: &Path) -> Result<Tensor> {
    let mut parts = vec![Tensor::zeros([0], (Kind::Float, tch::Device::Cpu))];
    for parameter in parameters {
        let name = &parameter.name;
        let Some(tensor) = tensors.remove(name) else {
            let error = Error::bad_input(format!("{}: tensor '{name}' is missing", path.display()));
            return Err(match nearest(name, tensors.keys().map(String::as_str)) {
                Some(near) => error.hint(format!("the file has '{near}'")),
                None => error.hint("the names are those of torchvision's (convnet) and timm's state dicts"),
            });
        };
        if tensor.size() != parameter.shape {
            let (has, wants) = (tensor.size(), &parameter.shape);
            let message = format!("{}: tensor '{name}' is {has:?}, the model's is {wants:?}", path.display());
            return Err(Error::bad_input(message)
                .hint("compare the model's keys with those of the program that wrote the weights"));
        }
        parts.push(tensor.to_kind(Kind::Float).reshape([-1]));
    }
    Ok(Tensor::cat(&parts, 0).unsqueeze(0))
}

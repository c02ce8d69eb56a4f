//! Weights from elsewhere: safetensors files whose names are those of torchvision's and timm's state dicts.

mod names;

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};

use crate::error::{Error, Result, nearest};
use crate::files::and_is;
use crate::model::layout::{Layout, Parameter};
use crate::out;

/// Parameters `[1, P]` and running statistics `[1, S]`, float32, from a file that has exactly the network's tensors.
/// Refuses a tensor that is missing, left over or of another shape, by name. (`num_batches_tracked` is passed over.)
pub fn load(layout: &Layout, path: &Path) -> Result<(Tensor, Tensor)> {
    let tensors: Vec<(String, Tensor)> = read(path)?;
    let tensors: Vec<_> = tensors.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
    let (names, notes) = names::ours(&tensors.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    for note in notes {
        out::say(format_args!("note: {}: {note}", path.display()));
    }
    let mut tensors: BTreeMap<String, Tensor> =
        names.into_iter().zip(tensors).map(|(name, (_, tensor))| (name, tensor)).collect();
    let params = row(&layout.parameters, &mut tensors, path)?;
    let stats = row(&layout.statistics, &mut tensors, path)?;
    match tensors.keys().next() {
        None => Ok((params, stats)),
        Some(extra) => Err(Error::bad_input(format!("{}: the model has no tensor '{extra}'", path.display()))
            .hint("compare the model's keys with those of the program that wrote the weights")),
    }
}

/// Refuses what is no safetensors file, and says what it is and how to make one of it.
fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let named = |ends: &[&str]| path.extension().is_some_and(|extension| ends.iter().any(|end| extension == *end));
    Tensor::read_safetensors(path).map_err(|error| {
        let (file, kind) = (path.display(), and_is(path));
        let error = Error::bad_input(format!("cannot read weights from {file}{kind}: {error}"));
        if !path.is_file()
            || !(named(&["pth", "pt", "bin", "ckpt", "tar"]) || kind.contains("PyTorch") || kind.contains("pickle"))
        {
            return error.hint("weights are read from a .safetensors file");
        }
        error.hint(format!(
            "a file of torch.save is a program; make a .safetensors of it where you trust it, in Python:\n  \
             import torch, safetensors.torch; w = torch.load('{file}', map_location='cpu', weights_only=True)\n  \
             safetensors.torch.save_file({{k: v.contiguous() for k, v in w.get('state_dict', w).items()}}, '{}')",
            path.with_extension("safetensors").display()
        ))
    })
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
        // torchvision's ConvNeXt keeps [C, 1, 1] for [C]: the same values in the same order.
        let sides = |shape: &[i64]| shape.iter().copied().filter(|side| *side != 1).collect::<Vec<_>>();
        let is_scale = name.ends_with(".gamma") && sides(&tensor.size()) == sides(&parameter.shape);
        if tensor.size() != parameter.shape && !is_scale {
            let (has, wants) = (tensor.size(), &parameter.shape);
            let message = format!("{}: tensor '{name}' is {has:?}, the model's is {wants:?}", path.display());
            return Err(Error::bad_input(message)
                .hint("compare the model's keys with those of the program that wrote the weights"));
        }
        parts.push(tensor.to_kind(Kind::Float).reshape([-1]));
    }
    Ok(Tensor::cat(&parts, 0).unsqueeze(0))
}

//! Logits, loss, gradient and running statistics equal to those of timm's and torchvision's models with the same
//! weights. The fixtures and their numbers are made by scripts/model_fixtures.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossover_worker::model::forward::{ForwardArgs, run};
use crossover_worker::model::network::{Mode, build};
use crossover_worker::model::{Io, choice::ModelChoice, costs, resolve, weights};
use crossover_worker::run::Settings;
use serde::Deserialize;
use tch::Tensor;

use crate::{gap, trained};

#[derive(Deserialize)]
struct Case {
    name: String,
    arch: String,
    keys: Settings,
    input: [u64; 3],
    classes: u64,
    params: u64,
    forward_flops: u64,
    loss: f64,
    gradient_norm: f64,
    running_sum: f64,
    #[serde(default)]
    metrics: BTreeMap<String, f64>,
}

impl Case {
    fn all() -> Vec<Case> {
        serde_json::from_str(&std::fs::read_to_string(fixtures().join("cases.json")).unwrap()).unwrap()
    }

    fn io(&self) -> Io {
        let [channels, height, width] = self.input;
        Io { channels, height, width, classes: self.classes }
    }

    fn file(&self, suffix: &str) -> PathBuf {
        fixtures().join(format!("{}.{suffix}", self.name))
    }
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/fixtures")
}

#[test]
fn costs_are_those_of_the_reference() {
    for case in Case::all() {
        let model = resolve(&case.arch, None, &case.keys).unwrap();
        let costs = costs(&model, case.io()).unwrap();
        assert_eq!((costs.params, costs.forward_flops), (case.params, case.forward_flops), "{}", case.name);
    }
}

#[test]
fn logits_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    for case in Case::all() {
        let set = case.keys.iter().map(|(key, value)| {
            let value = value.to_string();
            format!("{key}={}", value.trim_matches(['[', ']', '"']))
        });
        let choice = ModelChoice {
            arch: case.arch.clone(),
            size: None,
            set: set.collect(),
            input: case.input.map(|side| side.to_string()).join("x"),
            classes: case.classes,
        };
        let output = folder.path().join("logits.npy");
        let (weights, images) = (case.file("safetensors"), case.file("images.npy"));
        let (mean, deviation) = (Vec::new(), Vec::new());
        run(&ForwardArgs { model: choice, weights, images, output: output.clone(), mean, deviation }).unwrap();
        let off = gap(&Tensor::read_npy(&output).unwrap(), &Tensor::read_npy(case.file("logits.npy")).unwrap());
        assert!(off < 1e-5, "{}: logits are {off} off", case.name);
    }
}

#[test]
fn a_training_step_is_that_of_the_reference() {
    for case in Case::all() {
        let network = build(&resolve(&case.arch, None, &case.keys).unwrap(), case.io()).unwrap();
        let (params, stats) = weights::load(network.layout(), &case.file("safetensors")).unwrap();
        let images = Tensor::read_npy(case.file("images.npy")).unwrap().unsqueeze(0);
        let (output, gradient, loss) = trained(&network, &params, &stats, &images, &[0], &[1.0]);
        let norm = gradient.to_kind(tch::Kind::Double).norm().double_value(&[]);
        let running = output.stats.map_or(0.0, |stats| stats.sum(tch::Kind::Double).double_value(&[]));
        for (what, ours, theirs) in [
            ("loss", loss.double_value(&[0]), case.loss),
            ("gradient norm", norm, case.gradient_norm),
            ("running statistics", running, case.running_sum),
        ] {
            assert!((ours - theirs).abs() <= 1e-4 * theirs.abs(), "{}: {what} {ours}, not {theirs}", case.name);
        }
    }
}

#[test]
fn metrics_are_those_of_the_reference() {
    for case in Case::all() {
        let network = build(&resolve(&case.arch, None, &case.keys).unwrap(), case.io()).unwrap();
        let (params, stats) = weights::load(network.layout(), &case.file("safetensors")).unwrap();
        let images = Tensor::read_npy(case.file("images.npy")).unwrap().unsqueeze(0);
        let metrics = tch::no_grad(|| network.forward(&params, &stats, &images, Mode::Eval).metrics);
        let names = |of: &mut dyn Iterator<Item = &String>| of.cloned().collect::<Vec<_>>();
        assert_eq!(names(&mut metrics.keys()), names(&mut case.metrics.keys()), "{}", case.name);
        for (name, theirs) in &case.metrics {
            let ours = metrics[name].double_value(&[0]);
            assert!((ours - theirs).abs() < 1e-5, "{}: {name} is {ours}, not {theirs}", case.name);
        }
    }
}

/// Names as DistributedDataParallel of a compiled model writes them.
#[test]
fn wrapped_names_are_known() {
    let folder = tempfile::tempdir().unwrap();
    for case in Case::all().into_iter().filter(|case| case.name == "vit-torchvision" || case.name == "convnet-basic") {
        let network = build(&resolve(&case.arch, None, &case.keys).unwrap(), case.io()).unwrap();
        let (plain, wrapped) = (case.file("safetensors"), folder.path().join("wrapped.safetensors"));
        let tensors = Tensor::read_safetensors(&plain).unwrap();
        let tensors: Vec<_> =
            tensors.into_iter().map(|(name, tensor)| (format!("module._orig_mod.{name}"), tensor)).collect();
        Tensor::write_safetensors(&tensors, &wrapped).unwrap();
        let (a, b) =
            (weights::load(network.layout(), &plain).unwrap(), weights::load(network.layout(), &wrapped).unwrap());
        assert!(gap(&a.0, &b.0) == 0.0 && gap(&a.1, &b.1) == 0.0, "{}", case.name);
    }
}

#[test]
fn other_files_of_weights_are_named_with_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let network = build(&crate::model("mlp", r#"{"width": 2, "depth": 1}"#), crate::io(1, 2, 2, 2)).unwrap();
    let refused = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = weights::load(network.layout(), &path).unwrap_err();
        (error.message, error.hint.unwrap())
    };
    let (message, hint) = refused("best.pth", b"PK\x03\x04rest");
    assert!(message.contains("best.pth: it is a zip archive (.npz, or a checkpoint of PyTorch)"), "{message}");
    assert!(hint.contains("weights_only=True") && hint.contains("best.safetensors'"), "{hint}");
    assert!(refused("pytorch_model.bin", b"\x80\x02}").1.contains("torch.load("));
    assert!(refused("weights.h5", b"\x89HDF\r\n").0.contains("it is an HDF5 file"));
    assert_eq!(refused("weights.h5", b"\x89HDF\r\n").1, "weights are read from a .safetensors file");
}

#[test]
fn images_are_floats() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case::all().into_iter().find(|case| case.name == "mlp-shallow").unwrap();
    let images = folder.path().join("images.npy");
    Tensor::read_npy(case.file("images.npy")).unwrap().to_kind(tch::Kind::Uint8).write_npy(&images).unwrap();
    let choice = ModelChoice {
        arch: case.arch.clone(),
        size: None,
        set: case.keys.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        input: case.input.map(|side| side.to_string()).join("x"),
        classes: case.classes,
    };
    let output = folder.path().join("logits.npy");
    let (weights, mean, deviation) = (case.file("safetensors"), Vec::new(), Vec::new());
    let error =
        run(&ForwardArgs { model: choice, weights, images, output: output.clone(), mean, deviation }).unwrap_err();
    assert!(error.message.contains("images are uint8 from 0 to "), "{error}");
    assert!(error.hint.unwrap().contains("((x / 255 - mean) / std).astype('float32')"));
    assert!(!output.exists());
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let cases = Case::all();
    let weights = |name: &str| cases.iter().find(|case| case.name == name).unwrap().file("safetensors");
    let message = |json: &str, size: u64| {
        let io = Io { channels: 3, height: size, width: 12, classes: 10 };
        let network = build(&crate::model("vit", json), io).unwrap();
        let error = weights::load(network.layout(), &weights("vit-cls")).unwrap_err();
        error.message.split_once(": ").unwrap().1.to_string()
    };
    let fits = r#"{"width": 12, "depth": 2, "heads": 3, "patch": 4"#;
    assert_eq!(
        message(&format!("{fits}, \"pool\": \"mean\"}}"), 8),
        "tensor 'pos_embed' is [1, 7, 12], the model's is [1, 6, 12]"
    );
    assert_eq!(message(&format!("{fits}, \"position\": \"none\"}}"), 8), "the model has no tensor 'pos_embed'");
    let deeper = fits.replace("\"depth\": 2", "\"depth\": 3") + "}";
    assert_eq!(message(&deeper, 8), "tensor 'blocks.2.attn.qkv.weight' is missing");
    let wider = fits.replace("12", "24") + "}";
    assert!(message(&wider, 8).ends_with(", the model's is [24, 3, 4, 4]"), "{}", message(&wider, 8));
}

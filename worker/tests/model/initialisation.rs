//! Fresh parameters: the published rules, keyed by seed alone.

use crossover_worker::model::layout::{Layout, Parameter};
use crossover_worker::model::network::build;
use tch::{Kind, Tensor};

use crate::{gap, io, model, zoo};

fn of(layout: &Layout, params: &Tensor, name: &str) -> (Tensor, Parameter) {
    let parameter = layout.parameters.iter().find(|parameter| parameter.name == name).unwrap().clone();
    (params.get(0).narrow(0, parameter.offset, parameter.len()), parameter)
}

#[test]
fn a_row_depends_on_its_seed_alone() {
    for (model, io) in zoo() {
        let network = build(&model, io).unwrap();
        let (pack, stats) = network.init(&[5, 6, 5]);
        assert_eq!(stats.size(), [3, network.layout().stats]);
        assert!(gap(&pack.get(0), &pack.get(2)) == 0.0 && gap(&pack.get(0), &pack.get(1)) > 0.0);
        assert!(gap(&pack.narrow(0, 1, 1), &network.init(&[6]).0) == 0.0);
    }
}

#[test]
fn decayed_parameters_come_first_and_are_the_matrices() {
    for (model, io) in zoo() {
        let network = build(&model, io).unwrap();
        let layout = network.layout();
        let mut offset = 0;
        for parameter in &layout.parameters {
            assert_eq!(parameter.offset, offset);
            assert_eq!(parameter.decayed, offset < layout.decayed, "{}", parameter.name);
            let code = ["cls_token", "pos_embed", "latents"].contains(&parameter.name.as_str());
            let matrix = parameter.shape.iter().filter(|side| **side > 1).count() > 1;
            let bias = parameter.name.ends_with(".bias"); // those of experts are [E, D]
            assert_eq!(parameter.decayed, matrix && !code && !bias, "{}", parameter.name);
            offset += parameter.len();
        }
        assert_eq!(offset, layout.params);
    }
}

/// timm: linear layers and position codes normal of 0.02, biases zero, norms one, the patch embedding as torch.nn.Conv2d.
#[test]
fn vit_starts_as_in_timm() {
    let network = build(&model("vit", r#"{"width": 128, "depth": 1}"#), io(3, 32, 32, 10)).unwrap();
    let (params, _) = network.init(&[1]);
    let std = |name: &str| of(network.layout(), &params, name).0.std(false).double_value(&[]);
    for name in ["blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight", "pos_embed", "head.weight"] {
        assert!((std(name) / 0.02 - 1.0).abs() < 0.06, "{name}: {}", std(name));
    }
    let (embed, _) = of(network.layout(), &params, "patch_embed.proj.weight");
    let bound = 1.0 / 48f64.sqrt();
    let largest = embed.abs().max().double_value(&[]);
    assert!(largest <= bound && largest > 0.99 * bound);
    assert!((embed.std(false).double_value(&[]) / (bound / 3f64.sqrt()) - 1.0).abs() < 0.03);
    assert!(std("blocks.0.attn.qkv.bias") == 0.0 && std("cls_token") < 1e-5);
    let (norm, _) = of(network.layout(), &params, "blocks.0.norm1.weight");
    assert!(norm.mean(Kind::Double).double_value(&[]) == 1.0);
}

/// timm's _init_weights of mlp_mixer.py: xavier_uniform_ for MLPs, lecun_normal_ for the stem, zeros for the head.
#[test]
fn mixer_starts_as_in_timm() {
    let network = build(&model("mixer", r#"{"width": 128, "depth": 1}"#), io(3, 32, 32, 10)).unwrap();
    let (params, _) = network.init(&[1]);
    let off = |name: &str, std: f64| of(network.layout(), &params, name).0.std(false).double_value(&[]) / std - 1.0;
    for (name, inputs, outputs) in
        [("mlp_tokens.fc1", 64, 64), ("mlp_tokens.fc2", 64, 64), ("mlp_channels.fc1", 128, 512)]
    {
        let off = off(&format!("blocks.0.{name}.weight"), (2.0 / (inputs + outputs) as f64).sqrt());
        assert!(off.abs() < 0.03, "{name}: {off}");
    }
    assert!(off("stem.proj.weight", 1.0 / 48f64.sqrt()).abs() < 0.05);
    let size = |name: &str| of(network.layout(), &params, name).0.abs().max().double_value(&[]);
    assert!(size("head.weight") == 0.0 && size("stem.proj.bias") == 0.0);
    assert!(size("blocks.0.mlp_channels.fc1.bias") < 1e-5);
}

/// deit's resmlp_models.py: normal of 0.02, and layer scales of 0.1 for 12 blocks, 1e-5 for 24, 1e-6 for 36.
#[test]
fn resmlp_starts_as_the_authors_do() {
    for (depth, scale) in [(12, 0.1f32), (24, 1e-5), (36, 1e-6)] {
        let network = build(&model("resmlp", &format!(r#"{{"depth": {depth}}}"#)), io(3, 32, 32, 10)).unwrap();
        let (params, _) = network.init(&[1]);
        let found = |name: &str| of(network.layout(), &params, name).0;
        assert!(found("blocks.3.ls1").equal(&(Tensor::ones([64], (Kind::Float, tch::Device::Cpu)) * f64::from(scale))));
        let std = found("blocks.0.linear_tokens.weight").std(false).double_value(&[]);
        assert!((std / 0.02 - 1.0).abs() < 0.05, "{std}");
    }
}

/// Perceiver IO's program: latents normal of 0.02, linear layers normal of 1 / sqrt(inputs).
#[test]
fn perceiver_starts_as_the_authors_do() {
    let network = build(&model("perceiver", r#"{"latents": 64, "bands": 8}"#), io(3, 16, 16, 10)).unwrap();
    let (params, _) = network.init(&[1]);
    let tokens = 3.0 + 2.0 * 17.0;
    for (name, std) in [
        ("latents", 0.02),
        ("cross.0.kv.weight", 1.0 / f64::sqrt(tokens)),
        ("cross.1.proj.weight", 1.0 / f64::sqrt(tokens)),
        ("blocks.0.1.q.weight", 0.125),
        ("blocks.0.1.mlp.fc1.weight", 0.125),
    ] {
        let found = of(network.layout(), &params, name).0.std(false).double_value(&[]);
        assert!((found / std - 1.0).abs() < 0.06, "{name}: {found}, not {std}");
    }
}

/// torchvision: convolutions normal of sqrt(2 / fan-out), the classifier as torch.nn.Linear.
#[test]
fn convnet_starts_as_in_torchvision() {
    let network = build(&model("convnet", r#"{"width": 32, "depths": [1, 1]}"#), io(3, 32, 32, 10)).unwrap();
    let (params, stats) = network.init(&[1]);
    for (name, fan_out) in [("layer1.0.conv1.weight", 288.0), ("layer2.0.downsample.0.weight", 64.0)] {
        let (weight, _) = of(network.layout(), &params, name);
        let wanted = (2f64 / fan_out).sqrt();
        assert!((weight.std(false).double_value(&[]) / wanted - 1.0).abs() < 0.05, "{name}");
        assert!(weight.mean(Kind::Double).double_value(&[]).abs() < 0.1 * wanted, "{name}");
    }
    let (head, _) = of(network.layout(), &params, "fc.bias");
    assert!(head.abs().max().double_value(&[]) <= 0.125 && head.std(false).double_value(&[]) > 0.03);
    let all: Vec<_> = network.layout().statistics.iter().map(|s| (s.name.as_str(), s.offset)).take(2).collect();
    assert_eq!(all, [("bn1.running_mean", 0), ("bn1.running_var", 32)]);
    assert!(stats.narrow(1, 0, 32).abs().max().double_value(&[]) == 0.0);
    assert!(gap(&stats.narrow(1, 32, 32), &Tensor::ones([1, 32], (Kind::Float, tch::Device::Cpu))) == 0.0);
}

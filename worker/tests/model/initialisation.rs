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
            let code = ["cls_token", "pos_embed"].contains(&parameter.name.as_str());
            assert_eq!(parameter.decayed, parameter.shape.len() > 1 && !code, "{}", parameter.name);
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

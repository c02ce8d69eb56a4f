//! Closed forms against the built models and against torch.

use crossover_worker::model::network::build;
use crossover_worker::model::{Costs, Io, costs, resolve};
use crossover_worker::run::Settings;

use crate::{io, model, zoo};

#[test]
fn parameters_are_those_of_the_built_network() {
    for (model, io) in zoo() {
        let layout = build(&model, io).unwrap().layout().clone();
        assert_eq!(costs(&model, io).unwrap().params as i64, layout.params, "{model:?}");
    }
}

/// torch 2.11.0, torchvision 0.26.0, timm 1.0.31, with `costs` of scripts/model_fixtures.py on one 3x224x224 image:
///     costs(torchvision.models.resnet18(), torch.zeros(1, 3, 224, 224))
///     costs(timm.create_model("vit_base_patch16_224"), torch.zeros(1, 3, 224, 224))
#[test]
fn published_models_cost_what_torch_counts() {
    for (arch, size, params, forward_flops) in [
        ("convnet", "resnet-18", 11_689_512, 3_628_146_688),
        ("convnet", "resnet-34", 21_797_672, 7_327_522_816),
        ("convnet", "resnet-50", 25_557_032, 8_178_368_512),
        ("vit", "ti16", 5_717_416, 2_507_366_400),
        ("vit", "s16", 22_050_664, 9_197_764_608),
        ("vit", "b16", 86_567_656, 35_127_656_448),
    ] {
        let model = resolve(arch, Some(size), &Settings::new()).unwrap();
        let io = io(3, 224, 224, 1000);
        let found = costs(&model, io).unwrap();
        assert_eq!(found, Costs { params, active_params: params, forward_flops }, "{size}");
        assert_eq!(build(&model, io).unwrap().layout().params as u64, params, "{size}");
    }
}

/// The same program: `costs(vit(32, width=48, depth=3, heads=4, patch=4), torch.zeros(1, 3, 32, 32))` and so on.
#[test]
fn small_models_cost_what_torch_counts() {
    let small: [(&str, &str, Io, u64, u64); 4] = [
        ("vit", r#"{"width": 48, "depth": 3, "heads": 4}"#, io(3, 32, 32, 10), 90_922, 13_512_192),
        ("vit", r#"{"patch": 7, "pool": "mean"}"#, io(1, 28, 28, 10), 204_938, 6_655_232),
        ("convnet", r#"{"width": 16}"#, io(3, 32, 32, 10), 701_466, 70_093_312),
        (
            "convnet",
            r#"{"width": 8, "depths": [1, 2, 1], "block": "bottleneck"}"#,
            io(1, 28, 28, 10),
            37_634,
            9_448_192,
        ),
    ];
    for (arch, keys, io, params, forward_flops) in small {
        let found = costs(&model(arch, keys), io).unwrap();
        assert_eq!((found.params, found.forward_flops), (params, forward_flops), "{arch} {keys}");
    }
}

#[test]
fn refusals_name_the_key_its_rule_and_what_to_type() {
    let said = |arch: &str, keys: &str| {
        let error = resolve(arch, None, &crate::settings(keys)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        format!("{} | {}", error.message, error.hint.unwrap_or_default())
    };
    assert_eq!(said("vot", "{}"), "arch 'vot' is not known | did you mean 'vit'?");
    assert_eq!(said("vit", r#"{"widht": 3}"#), "vit has no key 'widht' | did you mean 'width'?");
    assert_eq!(said("vit", r#"{"width": 30}"#), "vit: heads = 4: must divide width = 30 | heads = 2");
    assert_eq!(
        said("vit", r#"{"pool": "max"}"#),
        "vit: pool = \"max\": unknown variant `max`, expected `cls` or `mean` | the default is pool = \"cls\""
    );
    assert_eq!(said("vit", r#"{"depth": 0}"#), "vit: depth = 0: must be at least 1 | depth = 4");
    assert_eq!(
        said("convnet", r#"{"depths": [2, 0]}"#),
        "convnet: depths = 2,0: every stage must have a block | depths = 2,2,2,2"
    );
    let error = resolve("vit", Some("b61"), &Settings::new()).unwrap_err();
    assert_eq!((error.message.as_str(), error.hint.as_deref()), ("vit has no size 'b61'", Some("did you mean 'b16'?")));
    let error = costs(&model("vit", r#"{"patch": 5}"#), io(3, 32, 32, 10)).unwrap_err();
    assert_eq!(error.message, "vit: patch = 5: must divide the 32x32 image");
    assert_eq!(error.hint.as_deref(), Some("patch is one of 1, 2, 4, 8, 16, 32"));
}

#[test]
fn a_single_value_is_a_list_of_one_and_all_defaults_are_written_out() {
    let model = model("convnet", r#"{"depths": 3}"#);
    let written = serde_json::to_string(&model.settings).unwrap();
    assert_eq!(written, r#"{"block":"basic","depths":[3],"stem":"small","width":64}"#);
}

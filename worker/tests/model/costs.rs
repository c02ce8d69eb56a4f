//! Closed forms against the built models and against torch.

use crossover_worker::model::network::build;
use crossover_worker::model::{Costs, Io, costs, receptive_field, resolve};
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
///     costs(resnet(64, [4, 4, 4, 4], "plain", "large", classes=1000), torch.zeros(1, 3, 224, 224))
///     costs(timm.create_model("convnext_tiny"), torch.zeros(1, 3, 224, 224))
///     costs(timm.create_model("vit_base_patch16_224"), torch.zeros(1, 3, 224, 224))
///     costs(timm.create_model("mixer_b16_224"), torch.zeros(1, 3, 224, 224))
///     costs(mixer(224, 1280, 32, 14, classes=1000), torch.zeros(1, 3, 224, 224))
///     costs(timm.create_model("resmlp_12_224"), torch.zeros(1, 3, 224, 224))
///     costs(Perceiver((224, 224), 512, 1024, 8, 64, 8, 6, classes=1000), torch.zeros(1, 3, 224, 224))
#[test]
fn published_models_cost_what_torch_counts() {
    for (arch, size, params, forward_flops) in [
        ("convnet", "resnet-18", 11_689_512, 3_628_146_688),
        ("convnet", "resnet-34", 21_797_672, 7_327_522_816),
        ("convnet", "resnet-50", 25_557_032, 8_178_368_512),
        ("convnet", "plain-18", 11_515_688, 3_589_611_520),
        ("convnet", "plain-34", 21_623_848, 7_288_987_648),
        ("convnet", "convnext-tiny", 28_589_128, 8_911_062_528),
        ("convnet", "convnext-small", 50_223_688, 17_367_424_512),
        ("convnet", "convnext-base", 88_591_464, 30_709_458_944),
        ("vit", "ti16", 5_717_416, 2_507_366_400),
        ("vit", "s16", 22_050_664, 9_197_764_608),
        ("vit", "b16", 86_567_656, 35_127_656_448),
        ("mixer", "s32", 19_104_624, 2_004_852_736),
        ("mixer", "s16", 18_528_264, 7_553_916_928),
        ("mixer", "b32", 60_293_428, 6_475_444_224),
        ("mixer", "b16", 59_880_472, 25_203_535_872),
        ("mixer", "l32", 206_939_264, 22_506_586_112),
        ("mixer", "l16", 208_196_168, 89_095_356_416),
        ("mixer", "h14", 432_350_952, 241_979_822_080),
        ("resmlp", "12", 15_350_872, 6_019_479_552),
        ("resmlp", "24", 30_020_680, 11_922_585_600),
        ("resmlp", "36", 44_690_488, 17_825_691_648),
        ("resmlp", "big-24", 129_138_280, 200_461_479_936),
        ("perceiver", "imagenet", 44_912_254, 706_279_096_320),
    ] {
        let model = resolve(arch, Some(size), &Settings::new()).unwrap();
        let io = io(3, 224, 224, 1000);
        let found = costs(&model, io).unwrap();
        assert_eq!(found, Costs { params, active_params: params, forward_flops }, "{size}");
        assert_eq!(build(&model, io).unwrap().layout().params as u64, params, "{size}");
    }
}

/// The same program: `costs(vit(32, width=48, depth=3, heads=4, patch=4), torch.zeros(1, 3, 32, 32))`,
/// `costs(mixer(32, 48, 3, 4, kind="resmlp"), torch.zeros(1, 3, 32, 32))`,
/// `costs(mlp(784, 64, 2), torch.zeros(1, 1, 28, 28))`,
/// `costs(Perceiver((28, 28), 32, 64, 4, 4, 2, 2, channels=1), torch.zeros(1, 1, 28, 28))` and so on.
#[test]
fn small_models_cost_what_torch_counts() {
    let (grey, rgb) = (io(1, 28, 28, 10), io(3, 32, 32, 10));
    let small: [(&str, &str, Io, u64, u64); 29] = [
        ("vit", r#"{"width": 48, "depth": 3, "heads": 4}"#, rgb, 90_922, 13_512_192),
        ("vit", r#"{"patch": 7, "pool": "mean"}"#, grey, 204_938, 6_655_232),
        ("vit", r#"{"width": 32, "depth": 2, "heads": 2, "stride": 2}"#, grey, 31_818, 15_927_936),
        (
            "vit",
            r#"{"width": 16, "depth": 2, "heads": 2, "patch": 1, "pool": "mean", "position": "sincos"}"#,
            grey,
            6_794,
            88_335_168,
        ),
        ("vit", r#"{"qk": "identity"}"#, rgb, 174_794, 26_020_096),
        ("vit", r#"{"pool": "mean", "window": 2}"#, rgb, 207_946, 29_754_624),
        ("vit", r#"{"norm": false, "residual": false}"#, rgb, 206_922, 30_279_936),
        ("recurrent", r#"{"depth": 1}"#, rgb, 58_122, 7_865_856),
        ("recurrent", r#"{"depth": 6}"#, rgb, 58_122, 45_222_656),
        (
            "recurrent",
            r#"{"width": 48, "heads": 3, "patch": 7, "pool": "mean", "position": "none"}"#,
            grey,
            31_258,
            3_811_776,
        ),
        ("convnet", r#"{"width": 16}"#, rgb, 701_466, 70_093_312),
        ("convnet", r#"{"width": 8, "depths": [1, 2, 1], "block": "bottleneck"}"#, grey, 37_634, 9_448_192),
        ("convnet", r#"{"width": 16, "depths": [2, 2, 2], "block": "plain"}"#, rgb, 75_290, 24_478_976),
        (
            "convnet",
            r#"{"width": 8, "depths": [1], "block": "plain", "padding": "circular"}"#,
            io(1, 32, 32, 4),
            716,
            1_327_168,
        ),
        ("convnet", r#"{"width": 12, "depths": [1, 2, 1], "block": "convnext"}"#, rgb, 41_914, 13_990_848),
        ("convnet", r#"{"width": 8, "depths": [2, 2], "block": "convnext"}"#, grey, 8_746, 5_369_152),
        (
            "convnet",
            r#"{"width": 16, "depths": [1, 1, 1], "block": "convnext", "stem": "large"}"#,
            io(3, 64, 64, 10),
            61_530,
            4_766_976,
        ),
        ("mixer", r#"{"width": 48, "depth": 3}"#, io(3, 32, 32, 10), 69_010, 8_258_496),
        ("mixer", r#"{"width": 33, "depth": 2, "patch": 7}"#, io(1, 28, 28, 10), 21_162, 677_556),
        ("mixer", "{}", io(1, 1, 40, 10), 137_202, 2_955_520),
        ("resmlp", r#"{"width": 48, "depth": 3}"#, io(3, 32, 32, 10), 72_298, 8_553_408),
        ("resmlp", r#"{"width": 33, "depth": 2, "patch": 7}"#, io(1, 28, 28, 10), 20_750, 643_764),
        ("resmlp", "{}", io(1, 1, 40, 10), 135_426, 2_679_040),
        ("mlp", r#"{"width": 64, "depth": 2}"#, io(1, 28, 28, 10), 55_050, 109_824),
        ("mlp", r#"{"width": 100, "depth": 3}"#, io(3, 32, 32, 10), 328_510, 656_400),
        ("mlp", r#"{"width": 100, "depth": 1}"#, io(1, 1, 40, 10), 5_110, 10_000),
        ("perceiver", "{}", io(1, 28, 28, 10), 76_908, 14_778_752),
        (
            "perceiver",
            r#"{"latents": 8, "width": 24, "heads": 2, "bands": 2, "blocks": 3, "share": false, "mlp_ratio": 2.0}"#,
            io(3, 32, 32, 10),
            40_243,
            3_974_880,
        ),
        (
            "perceiver",
            r#"{"latents": 16, "width": 32, "layers_per_block": 1, "position": "learned"}"#,
            io(1, 1, 40, 10),
            15_992,
            839_616,
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
    assert_eq!(said("vit", r#"{"width": 30}"#), "vit: heads = 4 (the default): must divide width = 30 | heads = 2");
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
    assert_eq!(said("mixer", r#"{"width": 1}"#), "mixer: width = 1: must be at least 2 | width = 64");
    assert_eq!(
        said("perceiver", r#"{"heads": 5}"#),
        "perceiver: heads = 5: must divide width = 64 (the default) | heads = 4"
    );
    assert_eq!(said("perceiver", r#"{"bands": 0}"#), "perceiver: bands = 0: must be at least 1 | bands = 4");
    let error = costs(&model("perceiver", r#"{"position": "none"}"#), io(1, 28, 28, 10)).unwrap_err();
    assert_eq!(
        error.message,
        "perceiver: position = none: must add to a grey pixel's one channel, or its norm is zero"
    );
    let error = costs(&model("vit", r#"{"patch": 5}"#), io(3, 32, 32, 10)).unwrap_err();
    assert_eq!(error.message, "vit: patch = 5: must divide the 32x32 image");
    assert_eq!(error.hint.as_deref(), Some("patch is one of 1, 2, 4, 8, 16, 32"));
    assert_eq!(
        said("recurrent", r#"{"stride": 5}"#),
        "recurrent: stride = 5: must be at most patch = 4 (the default): pixels between patches are not seen | stride = 4"
    );
    let error = costs(&model("vit", r#"{"stride": 3}"#), io(3, 32, 32, 10)).unwrap_err();
    assert_eq!(error.message, "vit: stride = 3: patches of 4 must end at the border of the 32x32 image");
    assert_eq!(error.hint.as_deref(), Some("stride is one of 1, 2, 4"));
    let error = costs(&model("convnet", r#"{"block": "convnext"}"#), io(3, 4, 4, 10)).unwrap_err();
    assert_eq!(error.message, "convnet: a 2x2 window does not fit a map of 1x1 that is left of the image");
    assert_eq!(error.hint.as_deref(), Some("fewer stages halve it less often"));
}

#[test]
fn a_single_value_is_a_list_of_one_and_all_defaults_are_written_out() {
    let model = model("convnet", r#"{"depths": 3}"#);
    let written = serde_json::to_string(&model.settings).unwrap();
    assert_eq!(written, r#"{"block":"basic","depths":[3],"padding":"zeros","stem":"small","width":64}"#);
}

/// By hand: 1 + (k - 1) x (product of the strides before) for each window, 435 for ResNet-18 (Araujo et al. 2019).
#[test]
fn receptive_fields_add_up() {
    let field = |keys: &str, io: Io| receptive_field(&model("convnet", keys), io).unwrap();
    let (rgb, signal) = (io(3, 32, 32, 10), io(1, 1, 40, 10));
    assert_eq!(field(r#"{"stem": "large"}"#, rgb), Some([435, 435]));
    assert_eq!(field(r#"{"block": "plain", "depths": [1]}"#, rgb), Some([5, 5]));
    assert_eq!(field(r#"{"block": "bottleneck", "depths": [2]}"#, signal), Some([1, 7]));
    assert_eq!(field(r#"{"block": "convnext", "depths": [1, 1]}"#, rgb), Some([22, 22]));
    assert_eq!(receptive_field(&model("vit", "{}"), rgb).unwrap(), None);
}

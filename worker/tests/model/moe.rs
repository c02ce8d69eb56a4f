//! Experts: what is particular to routing. Logits, losses, gradients and metrics stand against an independent program in
//! `reference`.

use crossover_worker::model::layers::sparse::noise;
use crossover_worker::model::network::{Mode, build};
use crossover_worker::model::{Costs, costs, resolve};
use tch::{Kind, Tensor, no_grad};

use crate::reference::fixtures;
use crate::{gap, images, io, model, settings, shaken, trained};

/// Noise of the fixtures: of the seed and the step of `reference`, in the layer's block.
const NOISE: [(&str, u64, usize); 5] = [
    ("moe-sparse", 1, 4 * 7 * 3),
    ("moe-score", 1, 3 * 16 * 4),
    ("moe-score", 2, 3 * 16 * 4),
    ("moe-signal", 0, 4 * 10 * 5),
    ("moe-signal", 1, 4 * 10 * 5),
];

fn drawn(block: u64, count: usize) -> Tensor {
    Tensor::from_slice(&noise(0, 3, &format!("blocks.{block}.mlp"), count).collect::<Vec<_>>())
}

#[test]
#[ignore = "writes the noise that scripts/model_fixtures.py reads"]
fn write_noise() {
    for (case, block, count) in NOISE {
        drawn(block, count).write_npy(fixtures().join(format!("{case}.noise.{block}.npy"))).unwrap();
    }
}

#[test]
fn noise_is_keyed_and_normal() {
    for (case, block, count) in NOISE {
        let saved = Tensor::read_npy(fixtures().join(format!("{case}.noise.{block}.npy"))).unwrap();
        assert!(gap(&drawn(block, count), &saved) == 0.0, "{case}: draw it again with write_noise");
    }
    let of = |seed, step, layer| Tensor::from_slice(&noise(seed, step, layer, 10_000).collect::<Vec<_>>());
    let one = of(1, 2, "blocks.1.mlp");
    assert!(one.mean(Kind::Double).double_value(&[]).abs() < 0.04);
    assert!((one.std(true).double_value(&[]) - 1.0).abs() < 0.03);
    for other in [of(2, 2, "blocks.1.mlp"), of(1, 3, "blocks.1.mlp"), of(1, 2, "blocks.3.mlp")] {
        assert!((&one * &other).mean(Kind::Double).double_value(&[]).abs() < 0.04);
    }
}

/// Params and FLOPs of scripts/model_fixtures.py, with torch 2.11.0 and weights of any kind:
///     costs(moe(224, range(1, 8, 2), dict(experts=32), dict(width=512, depth=8, heads=8, patch=32), classes=1000), image)
///     costs(moe(32, [1, 3], dict(experts=8, slots=8), dict(width=64, depth=4, heads=4, patch=4), soft=True), image)
/// and so on; active params by hand: those but for E - k of E experts, 2 d h + h + d each.
#[test]
fn costs_are_those_that_torch_counts() {
    let (grey, rgb, signal, large) = (io(1, 28, 28, 10), io(3, 32, 32, 10), io(1, 1, 40, 10), io(3, 224, 224, 1000));
    let of = |size: Option<&str>, keys: &str| resolve("moe", size, &settings(keys)).unwrap();
    let every_16 = r#"{"width": 48, "depth": 6, "pool": "mean", "position": "sincos", "last": 2, "experts": 16,
        "top_k": 1, "capacity": 1.25}"#;
    let small_soft = r#"{"width": 32, "depth": 2, "heads": 2, "mlp_ratio": 2.0, "every": 1, "experts": 4, "slots": 3,
        "router": "soft"}"#;
    for (model, io, params, inactive, forward_flops) in [
        (of(Some("s32"), "{}"), large, 287_762_408, 4 * 30 * 2_099_712, 4_027_883_520),
        (of(Some("b32"), "{}"), large, 966_744_040, 6 * 30 * 4_722_432, 13_249_720_320),
        (of(None, r#"{"patch": 7}"#), grey, 669_322, 2 * 6 * 33_088, 10_131_712),
        (of(None, every_16), rgb, 734_266, 2 * 15 * 18_672, 27_624_384),
        (of(None, r#"{"router": "soft"}"#), rgb, 679_500, 0, 33_343_744),
        (of(None, small_soft), signal, 43_948, 0, 461_696),
    ] {
        let active_params = params - inactive;
        assert_eq!(costs(&model, io).unwrap(), Costs { params, active_params, forward_flops }, "{model:?}");
        assert_eq!(build(&model, io).unwrap().layout().params as u64, params, "{model:?}");
    }
}

const SPARSE: &str =
    r#"{"width": 16, "depth": 2, "heads": 2, "patch": 2, "pool": "mean", "experts": 4, "capacity": 0.8}"#;
const SCORE: &str =
    r#"{"width": 16, "depth": 2, "heads": 2, "patch": 2, "pool": "mean", "top_k": 1, "priority": "score"}"#;
const SOFT: &str = r#"{"width": 16, "depth": 2, "heads": 2, "patch": 2, "pool": "mean", "router": "soft", "last": 1}"#;

/// Though tokens compete for room: only those of one image do.
#[test]
fn an_image_gets_the_answer_that_it_gets_alone() {
    let io = io(3, 8, 8, 5);
    for keys in [SPARSE, SCORE, SOFT] {
        let (network, params, stats) = shaken(&model("moe", keys), io, 1);
        let images = images(1, 6, io);
        let logits = |images: &Tensor| no_grad(|| network.forward(&params, &stats, images, Mode::Eval).logits);
        let together = logits(&images);
        for image in 0..6 {
            let off = gap(&together.narrow(1, image, 1), &logits(&images.narrow(1, image, 1)));
            assert!(off < 1e-5, "{keys}: {off}");
        }
    }
}

/// Through the gates, whatever the auxiliary losses weigh; and to every expert that got a token.
#[test]
fn routers_and_experts_have_gradients() {
    let io = io(3, 8, 8, 5);
    let unbalanced = SPARSE.replace("0.8", "0.8, \"balance\": 0.0");
    for (keys, router) in [(SPARSE, "router.weight"), (&unbalanced, "router.weight"), (SOFT, "mu"), (SOFT, "scale")] {
        let (network, params, stats) = shaken(&model("moe", keys), io, 1);
        let (output, gradient, _) = trained(&network, &params, &stats, &images(1, 4, io), &[1], &[1.0]);
        let of = |name: &str| {
            let layout = network.layout();
            let parameter = layout.parameters.iter().find(|p| p.name == format!("blocks.1.mlp.{name}")).unwrap();
            gradient.get(0).narrow(0, parameter.offset, parameter.len()).view(parameter.shape.as_slice())
        };
        assert!(of(router).norm().double_value(&[]) > 1e-6, "{keys} {router}");
        let experts = of("fc1.weight").square().sum_dim_intlist([1, 2].as_slice(), false, None);
        assert!(experts.min().double_value(&[]) > 0.0, "{keys}");
        let losses: Vec<_> = output.losses.keys().map(String::as_str).collect();
        let balanced = keys == SPARSE;
        assert_eq!(losses, if balanced { vec!["moe_importance", "moe_load"] } else { vec![] }, "{keys}");
    }
}

/// A router that cannot tell tokens apart sends all to the same experts: with k = 1 all but the first few are dropped,
/// and the losses are those of all load on one of E experts, E - 1 each.
#[test]
fn a_collapsed_router_shows() {
    let io = io(1, 1, 40, 5);
    let keys =
        r#"{"width": 8, "depth": 1, "patch": 1, "pool": "mean", "every": 1, "experts": 5, "top_k": 1, "heads": 1}"#;
    let (network, mut params, stats) = shaken(&model("moe", keys), io, 1);
    let layout = network.layout();
    let at = |name: &str| layout.parameters.iter().find(|p| p.name == format!("blocks.0.{name}")).unwrap();
    let fill = |params: &mut Tensor, name: &str, values: &Tensor| {
        params.narrow(1, at(name).offset, values.numel() as i64).copy_(&values.view([1, -1]));
    };
    // The norm before the router gives ones for every token.
    fill(&mut params, "norm2.weight", &Tensor::zeros([8], (Kind::Float, tch::Device::Cpu)));
    fill(&mut params, "norm2.bias", &Tensor::ones([8], (Kind::Float, tch::Device::Cpu)));
    let likes = Tensor::zeros([5, 8], (Kind::Float, tch::Device::Cpu));
    let _ = likes.get(3).fill_(10.0);
    fill(&mut params, "mlp.router.weight", &likes);
    let images = images(1, 2, io);
    let metrics = no_grad(|| network.forward(&params, &stats, &images, Mode::Eval).metrics);
    let metric = |name: &str| metrics[name].double_value(&[0]);
    // Room for ceil(1.05 * 40 / 5) = 9 of 40.
    assert!((metric("moe_dropped.0") - 31.0 / 40.0).abs() < 1e-6, "{}", metric("moe_dropped.0"));
    assert!((metric("moe_skipped.0") - 31.0 / 40.0).abs() < 1e-6);
    assert!(metric("moe_load.0.3") == 1.0 && metric("moe_load.0.0") == 0.0);
    let losses = network.forward(&params, &stats, &images, Mode::Train { seeds: &[0], step: 0 }).losses;
    for (name, loss) in losses {
        assert!((loss.double_value(&[0]) - 0.005 * 4.0).abs() < 1e-6, "{name} is {loss}");
    }
}

#[test]
fn keys_that_exclude_each_other_take_each_other_back() {
    let written = |keys: &str| {
        let named = resolve("moe", None, &settings(keys)).unwrap();
        let again = resolve("moe", None, &named.settings).unwrap();
        assert_eq!(named, again, "a resolved config resolves to itself");
        ["every", "last", "top_k", "capacity", "slots"].map(|key| named.settings[key].to_string()).join(" ")
    };
    assert_eq!(written("{}"), "2 null 2 1.05 null");
    assert_eq!(written(r#"{"last": 2, "top_k": 1}"#), "null 2 1 1.05 null");
    assert_eq!(written(r#"{"router": "soft"}"#), "2 null null null null");
    assert_eq!(written(r#"{"router": "soft", "slots": 3, "every": 1}"#), "1 null null null 3");
    let said = |keys: &str| {
        let error = resolve("moe", None, &settings(keys)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        format!("{} | {}", error.message, error.hint.unwrap_or_default())
    };
    assert_eq!(
        said(r#"{"last": 2, "every": 2}"#),
        "moe: last = 2: cannot stand beside every = 2: they are two ways to say where experts are | \
         give one of every and last"
    );
    assert_eq!(said(r#"{"slots": 4}"#), "moe: slots = 4: is a key of router = soft | router = soft");
    assert_eq!(
        said(r#"{"router": "soft", "priority": "score"}"#),
        "moe: priority = \"score\": is a key of router = top_k | router = top_k"
    );
    assert_eq!(said(r#"{"every": 5}"#), "moe: every = 5: must be 1 to depth = 4 (the default) | every = 1");
    assert_eq!(said(r#"{"top_k": 9}"#), "moe: top_k = 9: must be 1 to experts = 8 (the default) | top_k = 1");
    assert_eq!(said(r#"{"capacity": 0}"#), "moe: capacity = 0: must be above 0, and at most 1024 | capacity = 1.05");
    assert_eq!(said(r#"{"expert": 4}"#), "moe has no key 'expert' | did you mean 'experts'?");
    assert_eq!(said(r#"{"heads": 5}"#), "moe: heads = 5: must divide width = 64 (the default) | heads = 4");
}

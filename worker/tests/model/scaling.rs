//! Size ladders: within tolerance, monotone, held keys held.

use crossover_worker::model::{Io, Target, costs, names, scale_to};
use crossover_worker::run::Settings;

use crate::{io, settings};

const TOLERANCE: f64 = 0.05;

fn check(arch: &str, given: &Settings, targets: &[Target], io: Io) {
    let mut last = 0.0;
    for target in targets {
        let found = scale_to(arch, given, *target, TOLERANCE, io)
            .unwrap_or_else(|error| panic!("{arch} {target:?}: {error} ({:?})", error.hint));
        let cost = target.of(costs(&found, io).unwrap());
        assert!((cost / target.value()).ln().abs() <= (1.0 + TOLERANCE).ln(), "{arch} {target:?}: {cost}");
        assert!(cost > last, "{arch} {target:?}: {cost} is not above {last}");
        assert!(given.iter().all(|(key, value)| found.settings[key] == *value), "{arch}: {found:?}");
        last = cost;
    }
}

#[test]
fn every_arch_reaches_every_scale() {
    let none = Settings::new();
    for io in [io(1, 28, 28, 10), io(3, 32, 32, 100)] {
        for arch in names() {
            check(arch, &none, &[1e5, 3e5, 1e6, 3e6, 1e7, 1e8].map(Target::Params), io);
            check(arch, &none, &[1e6, 2.5e6, 1e7, 3e7, 1e8, 1e9].map(Target::ForwardFlops), io);
        }
    }
    check("convnet", &none, &[1e4, 2e4, 4e4].map(Target::Params), io(1, 1, 40, 10));
    check("vit", &none, &[1e4, 2e4, 4e4].map(Target::Params), io(1, 28, 28, 10));
}

#[test]
fn held_keys_are_held() {
    let io = io(1, 28, 28, 10);
    let targets = [1e6, 1e7, 1e8].map(Target::ForwardFlops);
    check("vit", &settings(r#"{"patch": 7, "pool": "mean"}"#), &targets, io);
    check("vit", &settings(r#"{"depth": 6, "heads": 2}"#), &[1e6, 1e7].map(Target::Params), io);
    check("mixer", &settings(r#"{"patch": 7}"#), &targets, io);
    check("resmlp", &settings(r#"{"patch": 2, "depth": 3}"#), &targets[1..], io);
    check("mlp", &settings(r#"{"depth": 2, "activation": "gelu"}"#), &targets, io);
    check("perceiver", &settings(r#"{"bands": 2, "blocks": 2}"#), &targets, io);
    check("perceiver", &settings(r#"{"position": "learned", "share": false}"#), &targets, io);
    check("moe", &settings(r#"{"last": 2, "experts": 16, "top_k": 1, "patch": 7}"#), &targets, io);
    check("moe", &settings(r#"{"router": "soft", "experts": 4, "every": 1}"#), &targets, io);
    check("convnet", &settings(r#"{"depths": [1, 1, 1]}"#), &[1e6, 1e7].map(Target::Params), io);
    for keys in [
        r#"{"block": "bottleneck"}"#,
        r#"{"block": "convnext"}"#,
        r#"{"block": "convnext", "stem": "large"}"#,
        r#"{"block": "plain", "padding": "circular"}"#,
    ] {
        check("convnet", &settings(keys), &targets[1..], io);
    }
    check("vit", &settings(r#"{"patch": 4, "stride": 2, "window": 2}"#), &targets[1..], io);
    check("vit", &settings(r#"{"patch": 1, "qk": "identity", "residual": false}"#), &targets[2..], io);
    check("recurrent", &settings(r#"{"depth": 8, "norm": false}"#), &targets[1..], io);
}

#[test]
fn what_cannot_be_reached_is_refused_with_the_nearest() {
    let given = settings(r#"{"width": 64, "depth": 2}"#);
    let error = scale_to("vit", &given, Target::Params(1e6), TOLERANCE, io(1, 28, 28, 10)).unwrap_err();
    assert_eq!(error.message, "vit: no config within 5% of 1.00M params");
    assert_eq!(error.hint.as_deref(), Some("the nearest has 105k params: depth=2"));
    let error =
        scale_to("vit", &settings(r#"{"patch": 9}"#), Target::Params(1e6), 0.05, io(1, 28, 28, 10)).unwrap_err();
    assert_eq!(error.message, "vit: patch = 9: must divide the 28x28 image");
    assert!(scale_to("vit", &Settings::new(), Target::Params(f64::NAN), 0.05, io(1, 28, 28, 10)).is_err());
}

//! Size ladders: the usual config of a wanted cost. Each family says which shapes are usual, as rungs from small to large
//! of which each is at least as wide and as deep as the one before; so a ladder is monotone in both, whatever its targets.
//! The nearest rung is taken, or refused with its neighbours where it is not near enough.

use crate::error::{Error, Result};
use crate::model::config::{Config, overlay, settings, shape_text, traced};
use crate::model::{Costs, Io, Target};
use crate::run::Settings;
use crate::units::si;

impl Target {
    pub fn value(self) -> f64 {
        match self {
            Target::Params(value) | Target::ForwardFlops(value) => value,
        }
    }

    /// The cost that this target speaks of.
    pub fn of(self, costs: Costs) -> f64 {
        match self {
            Target::Params(_) => costs.params as f64,
            Target::ForwardFlops(_) => costs.forward_flops as f64,
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Target::Params(_) => "params",
            Target::ForwardFlops(_) => "forward FLOPs",
        }
    }
}

/// Widths that are sensible from `least` to `most`: multiples of `unit`, and of the largest power of two that is at most
/// a tenth of the width. So neighbours are 5 to 10% apart, and their costs 10 to 21%. Multiples of 8 are round enough up
/// to 320; from 160 on neighbours are at most 5% apart. The very small ones are as fine as whole units allow.
pub fn widths(unit: u64, least: u64, most: u64) -> Vec<u64> {
    let step = |width: u64| {
        let coarse = (width / 10).min((width / 20).max(8));
        match coarse / unit {
            0 => unit,
            units => unit << units.ilog2(),
        }
    };
    let first = least.next_multiple_of(unit);
    std::iter::successors(Some(first), |width| Some((width + 1).next_multiple_of(step(*width))))
        .take_while(|width| *width <= most)
        .collect()
}

/// How deep a network of each width is: `(from this width on, this depth)`, both rising, where `D` is a number of blocks
/// or those of each stage.
pub type Levels<D> = Vec<(u64, D)>;

/// The depths on the line through published sizes, `(width, depth)` each, rounded down.
pub fn through(sizes: &[(u64, u64)]) -> Levels<u64> {
    let mut levels: Vec<_> = sizes.first().map(|first| (0, first.1)).into_iter().collect();
    for pair in sizes.windows(2) {
        let [(from, shallow), (to, deep)] = [pair[0], pair[1]];
        let wide = |depth: u64| from + ((to - from) * (depth - shallow)).div_ceil(deep - shallow);
        levels.extend((shallow + 1..=deep).map(|depth| (wide(depth), depth)));
    }
    levels
}

/// All rungs: wider and wider, and where a width is deep enough for the next level, deeper before wider. A depth and a
/// width that grow in one step would leave a gap for no reason.
pub fn climb<D: Clone>(widths: &[u64], levels: &[(u64, D)]) -> Vec<(u64, D)> {
    let mut rungs = Vec::new();
    let mut level = None;
    for &width in widths {
        let reached = levels.iter().rposition(|(from, _)| *from <= width).unwrap_or(0);
        let first = level.unwrap_or(reached);
        rungs.extend(levels[first..=reached].iter().map(|(_, depth)| (width, depth.clone())));
        level = Some(reached);
    }
    rungs
}

/// The rungs of a family whose shape is a width and a depth. A held key wins, and leaves the other one no proportion to
/// keep: a held depth goes with every width, a held width with every depth up to the deepest published.
pub fn stack(
    now: (u64, u64),
    widths: Vec<u64>,
    sizes: &[(u64, u64)],
    deepest: u64,
    held: &Settings,
) -> Vec<(u64, u64)> {
    match (held.contains_key("width"), held.contains_key("depth")) {
        (true, true) => vec![now],
        (true, false) => (1..=deepest).map(|depth| (now.0, depth)).collect(),
        (false, true) => widths.into_iter().map(|width| (width, now.1)).collect(),
        (false, false) => climb(&widths, &through(sizes)),
    }
}

struct Rung<C> {
    config: C,
    cost: f64,
}

pub fn nearest_config<C: Config>(given: &Settings, target: Target, tolerance: f64, io: Io) -> Result<C> {
    let wanted = target.value();
    if !(wanted.is_finite() && wanted >= 1.0 && tolerance > 0.0) {
        return Err(Error::bad_input(format!("{}: no config has {wanted} {}", C::NAME, target.unit())));
    }
    let rungs = rungs::<C>(given, target, io)?;
    let off = |rung: &Rung<C>| (rung.cost / wanted - 1.0).abs();
    // Of equal costs the last: there depth costs no params, and the last is as deep as its width asks for.
    let nearest = rungs.iter().rev().min_by(|a, b| off(a).total_cmp(&off(b)));
    match nearest {
        Some(rung) if off(rung) <= tolerance => Ok(rung.config.clone()),
        _ => Err(refusal(&rungs, target, tolerance)),
    }
}

/// Rungs that the held keys leave possible, with their costs. Where they leave none, says what is wrong with the first.
fn rungs<C: Config>(given: &Settings, target: Target, io: Io) -> Result<Vec<Rung<C>>> {
    let base: C = overlay(C::default(), given)?;
    let (mut rungs, mut wrong) = (Vec::new(), None);
    for config in base.ladder(given, io) {
        match config.check().and_then(|()| config.costs(io)) {
            Ok(costs) => rungs.push(Rung { config, cost: target.of(costs) }),
            Err(error) if wrong.is_none() => wrong = Some((error, settings(&config)?)),
            Err(_) => {}
        }
    }
    let origin = |key: &str| match given.contains_key(key) {
        true => None,
        false if C::SHAPE.contains(&key) => Some("a size that was tried".to_owned()),
        false => Some("the default".to_owned()),
    };
    match wrong {
        Some((error, whole)) if rungs.is_empty() => Err(traced(error, &whole, origin).context(C::NAME)),
        _ => Ok(rungs),
    }
}

/// Names the nearest on both sides, and what to type to have one of them.
fn refusal<C: Config>(rungs: &[Rung<C>], target: Target, tolerance: f64) -> Error {
    let (wanted, unit) = (target.value(), target.unit());
    let percent = (tolerance * 1e4).round() / 100.0;
    let error = Error::bad_input(format!("{}: no usual shape is within {percent}% of {} {unit}", C::NAME, si(wanted)));
    let off = |rung: &Rung<C>| (rung.cost / wanted - 1.0).abs();
    // Rounded up, so that what is refused never reads as near enough.
    let hundredths = |share: f64| (share * 1e4).ceil() / 100.0;
    let shown = |rung: &Rung<C>, side: &str| {
        let shape = settings(&rung.config).map(|all| shape_text(C::SHAPE, &all)).unwrap_or_default();
        let far = match rung.cost / wanted {
            times if times >= 10.0 => format!("{times:.0} times as much"),
            _ => format!("{}% {side}", hundredths(off(rung))),
        };
        format!("{shape} has {} ({far})", si(rung.cost))
    };
    // Of equal costs the last, as above.
    let below = rungs.iter().filter(|rung| rung.cost < wanted).max_by(|a, b| a.cost.total_cmp(&b.cost));
    let above = rungs.iter().rev().filter(|rung| rung.cost > wanted).min_by(|a, b| a.cost.total_cmp(&b.cost));
    let sides = match (below, above) {
        (Some(below), Some(above)) => format!("{}, {}", shown(below, "below"), shown(above, "above")),
        (None, Some(above)) => format!("the smallest, {}", shown(above, "above")),
        (Some(below), None) => format!("the largest, {}", shown(below, "below")),
        (None, None) => return error.hint("the keys you hold leave no shape at all: hold fewer"),
    };
    let one = below.is_none() || above.is_none();
    // A tolerance is below 1, whatever it would find.
    let enough = [below, above].into_iter().flatten().map(off).fold(f64::INFINITY, f64::min);
    let enough = (enough * 100.0).ceil() / 100.0;
    let way = match enough < 1.0 {
        true if one => format!("ask for that, or give tolerance = {enough}"),
        true => format!("ask for one of these, or give tolerance = {enough}"),
        false => "ask for that, or give its keys by hand".into(),
    };
    error.hint(format!("{sides}: {way}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TOLERANCE, arch, costs, names, scale_to};

    const DIGITS: Io = Io { channels: 1, height: 28, width: 28, classes: 10 };
    const COLOURS: Io = Io { channels: 3, height: 32, width: 32, classes: 10 };
    const SIGNALS: Io = Io { channels: 1, height: 1, width: 40, classes: 10 };
    const PHOTOS: Io = Io { channels: 3, height: 224, width: 224, classes: 1000 };

    fn held(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    /// Every family, and the kinds of blocks, codes and routers that have shapes or costs of their own.
    fn families() -> Vec<(&'static str, Settings)> {
        let kinds = [
            ("convnet", r#"{"block": "plain"}"#),
            ("convnet", r#"{"block": "bottleneck"}"#),
            ("convnet", r#"{"block": "convnext"}"#),
            ("convnet", r#"{"block": "convnext", "stem": "large"}"#),
            ("perceiver", r#"{"position": "learned", "share": false}"#),
            ("moe", r#"{"router": "soft", "last": 2}"#),
        ];
        let kinds = kinds.map(|(name, keys)| (name, held(keys)));
        names().into_iter().map(|name| (name, Settings::new())).chain(kinds).collect()
    }

    /// Eight a decade.
    fn targets(from: i32, to: i32) -> impl Iterator<Item = f64> {
        (8 * from..=8 * to).map(|step| 10f64.powf(f64::from(step) / 8.0))
    }

    fn numbers(settings: &Settings, key: &str) -> Vec<u64> {
        let Some(value) = settings.get(key) else { return Vec::new() };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        values.iter().map(|value| value.as_u64().unwrap()).collect()
    }

    /// All that makes a network wider or deeper.
    fn sizes(settings: &Settings) -> Vec<u64> {
        let keys = ["width", "depth", "depths", "latents", "bands", "blocks", "layers_per_block"];
        keys.iter().flat_map(|key| numbers(settings, key)).collect()
    }

    /// What docs/families.md says of each family, as bounds: narrowest, flattest and slimmest (width over depth, of
    /// convolutional networks over the blocks of a stage), width of a head.
    fn usual(name: &str, settings: &Settings, stages: usize) {
        let width = numbers(settings, "width")[0];
        let within = |what: &str, value: f64, least: f64, most: f64| {
            assert!((least..=most).contains(&value), "{name}: {what} = {value}: {settings:?}");
        };
        if let ("convnet", Some(block)) = (name, settings.get("block").and_then(|block| block.as_str())) {
            let depths = numbers(settings, "depths");
            within("width", width as f64, 4.0, 2048.0);
            assert_eq!(depths.len(), stages, "{name}: {settings:?}");
            let deepest = if block == "convnext" { 27.0 } else { 12.0 };
            depths.iter().for_each(|depth| within("blocks", *depth as f64, 1.0, deepest));
            return within("channels a block", width as f64 / depths[0] as f64, 1.3, 700.0);
        }
        within("width", width as f64, 8.0, 32768.0);
        assert!(width.is_multiple_of(2), "{name}: {settings:?}");
        for heads in numbers(settings, "heads") {
            within("head", (width / heads) as f64, 8.0, 72.0);
        }
        for depth in numbers(settings, "depth") {
            let aspect = width as f64 / depth as f64;
            match (name, width) {
                ("mlp", _) => within("depth", depth as f64, 3.0, 3.0),
                (_, ..64) => within("depth", depth as f64, 2.0, 4.0),
                (_, ..1280) => within("aspect", aspect, 15.0, 74.0),
                _ => within("depth", depth as f64, 24.0, 32.0),
            }
        }
    }

    #[test]
    fn ladders_are_usual_and_monotone_and_what_is_refused_has_its_neighbours_named() {
        for (name, given) in families() {
            for io in [DIGITS, COLOURS, SIGNALS, PHOTOS] {
                let stages = if io == PHOTOS { 4 } else { 3 - usize::from(given.contains_key("stem")) };
                let params = targets(3, 8).map(Target::Params).collect::<Vec<_>>();
                let flops = targets(5, 10).map(Target::ForwardFlops).collect::<Vec<_>>();
                for ladder in [params, flops] {
                    let found = reached(name, &given, &ladder, io);
                    for pair in found.windows(2) {
                        let [small, large] = [sizes(&pair[0]), sizes(&pair[1])];
                        assert!(small.iter().zip(&large).all(|(a, b)| a <= b), "{name} {io:?}: {small:?} {large:?}");
                    }
                    found.iter().for_each(|settings| usual(name, settings, stages));
                    assert!(found.len() * 10 > ladder.len(), "{name} {io:?}: {} found", found.len());
                }
            }
        }
    }

    /// The configs found; each is within tolerance, and no rung is nearer. Of each refusal the neighbours.
    fn reached(name: &str, given: &Settings, ladder: &[Target], io: Io) -> Vec<Settings> {
        let mut found = Vec::new();
        for target in ladder {
            match scale_to(name, given, *target, TOLERANCE, io) {
                Ok(model) => {
                    let off = target.of(costs(&model, io).unwrap()) / target.value() - 1.0;
                    assert!(off.abs() <= TOLERANCE, "{name} {target:?}: {off}");
                    found.push(model.settings);
                }
                Err(error) => brackets(*target, &error.hint.unwrap()),
            }
        }
        found
    }

    /// Neighbours lie on the sides that they are said to lie on, both too far off, by the share that is said.
    fn brackets(target: Target, hint: &str) {
        let sides: Vec<&str> = hint.split(" has ").skip(1).collect();
        let one = hint.starts_with("the smallest") || hint.starts_with("the largest");
        assert_eq!(sides.len(), if one { 1 } else { 2 }, "{hint}");
        for side in sides {
            let (cost, rest) = side.split_once(" (").unwrap();
            if let Some((times, _)) = rest.split_once(" times as much") {
                assert!((unsi(cost) / target.value() / times.parse::<f64>().unwrap() - 1.0).abs() < 0.06, "{hint}");
                continue;
            }
            let (percent, rest) = rest.split_once("% ").unwrap();
            let percent: f64 = percent.parse().unwrap();
            let signed = if rest.starts_with("below") { -percent } else { percent };
            assert!(percent > 100.0 * TOLERANCE, "{hint}");
            let wanted = target.value() * (1.0 + signed / 100.0);
            // Three digits of it.
            let shown = unsi(cost);
            assert!((shown / wanted - 1.0).abs() < 6e-3, "{target:?}: {hint}: {shown} {wanted}");
        }
    }

    fn unsi(text: &str) -> f64 {
        let letters = text.trim_end_matches(|letter: char| letter.is_alphabetic());
        let power = match &text[letters.len()..] {
            "" => 0,
            "k" => 3,
            "M" => 6,
            "G" => 9,
            "T" => 12,
            other => panic!("{other}"),
        };
        letters.parse::<f64>().unwrap() * 10f64.powi(power)
    }

    #[test]
    fn published_sizes_are_rungs() {
        for (name, size, given) in [
            ("vit", "ti16", r#"{"patch": 16}"#),
            ("vit", "s16", r#"{"patch": 16}"#),
            ("vit", "b16", r#"{"patch": 16}"#),
            ("mixer", "s16", r#"{"patch": 16}"#),
            ("mixer", "b16", r#"{"patch": 16}"#),
            ("mixer", "l16", r#"{"patch": 16}"#),
            ("mixer", "h14", r#"{"patch": 14}"#),
            ("resmlp", "12", r#"{"patch": 16}"#),
            ("resmlp", "big-24", r#"{"patch": 8}"#),
            ("moe", "s32", r#"{"patch": 32, "experts": 32}"#),
            ("moe", "l16", r#"{"patch": 16, "experts": 32}"#),
            ("perceiver", "imagenet", r#"{"position_width": 128}"#),
            ("convnet", "resnet-18", r#"{"stem": "large"}"#),
            ("convnet", "resnet-34", r#"{"stem": "large"}"#),
            ("convnet", "resnet-50", r#"{"stem": "large", "block": "bottleneck"}"#),
            ("convnet", "plain-18", r#"{"stem": "large", "block": "plain"}"#),
            ("convnet", "plain-34", r#"{"stem": "large", "block": "plain"}"#),
            ("convnet", "convnext-tiny", r#"{"stem": "large", "block": "convnext"}"#),
            ("convnet", "convnext-small", r#"{"stem": "large", "block": "convnext"}"#),
            ("convnet", "convnext-base", r#"{"stem": "large", "block": "convnext"}"#),
        ] {
            let published = crate::model::resolve(name, Some(size), &Settings::new()).unwrap();
            let target = Target::Params(costs(&published, PHOTOS).unwrap().params as f64);
            let found = scale_to(name, &held(given), target, 1e-6, PHOTOS).unwrap();
            let keys = arch(name).unwrap().shape;
            let shape = |settings: &Settings| shape_text(keys, settings);
            assert_eq!(shape(&found.settings), shape(&published.settings), "{name} {size}");
        }
    }

    #[test]
    fn refusals_name_both_sides_and_what_to_type() {
        let refusal = |name: &str, keys: &str, target: Target, tolerance: f64| {
            let error = scale_to(name, &held(keys), target, tolerance, SIGNALS).unwrap_err();
            (error.message, error.hint.unwrap_or_default())
        };
        // 4336 / 5000 = 0.8672, 5799 / 5000 = 1.1598.
        let (message, hint) = refusal("convnet", "{}", Target::Params(5e3), 0.1);
        assert_eq!(message, "convnet: no usual shape is within 10% of 5.00k params");
        assert_eq!(
            hint,
            "width=6 depths=1,1,1 has 4.34k (13.29% below), width=7 depths=1,1,1 has 5.80k (15.98% above): ask for one of \
             these, or give tolerance = 0.14"
        );
        let taken = scale_to("convnet", &held("{}"), Target::Params(5e3), 0.14, SIGNALS).unwrap();
        assert_eq!(numbers(&taken.settings, "width"), [6]);
        // 40 + 8 + 88 + 2 (12 * 8 * 8 + 13 * 8) + 16 + 90 = 1986.
        let (_, hint) = refusal("vit", "{}", Target::Params(500.0), 0.1);
        assert!(hint.starts_with("the smallest, width=8 depth=2 heads=1 has 1.99k (297.2% above)"), "{hint}");
        assert!(hint.ends_with("ask for that, or give its keys by hand"), "{hint}");
        let (_, hint) = refusal("convnet", "{}", Target::Params(4.4e3), 0.01);
        assert!(hint.starts_with("width=6 depths=1,1,1 has 4.34k (1.46% below), width=7"), "{hint}");
        let (_, hint) = refusal("vit", r#"{"width": 64, "depth": 2}"#, Target::Params(1e6), 0.1);
        assert!(hint.starts_with("the largest, width=64 depth=2 heads=4 has 10"), "{hint}");
        assert!(hint.ends_with("% below): ask for that, or give tolerance = 0.9"), "{hint}");
    }

    #[test]
    fn above_and_below_are_alike() {
        let cost = |width: u64| {
            let model = crate::model::resolve("mlp", None, &held(&format!(r#"{{"width": {width}}}"#))).unwrap();
            costs(&model, SIGNALS).unwrap().params as f64
        };
        let at = |target: f64, tolerance: f64| scale_to("mlp", &held("{}"), Target::Params(target), tolerance, SIGNALS);
        let width = |target: f64| numbers(&at(target, 0.1).unwrap().settings, "width")[0];
        let middle = (cost(30) + cost(32)) / 2.0;
        assert_eq!([width(middle - 1.0), width(middle + 1.0)], [30, 32]);
        for target in [cost(30) / 1.03, cost(30) / 0.97] {
            assert!(at(target, 0.0301).is_ok() && at(target, 0.0299).is_err(), "{target}");
        }
    }

    #[test]
    fn held_keys_are_held() {
        for (name, keys, io) in [
            ("vit", r#"{"patch": 7, "pool": "mean"}"#, DIGITS),
            ("vit", r#"{"patch": 4, "stride": 2, "window": 2}"#, DIGITS),
            ("vit", r#"{"patch": 16, "qk": "identity", "residual": false, "position": "sincos"}"#, PHOTOS),
            ("vit", r#"{"depth": 6, "heads": 5}"#, COLOURS),
            ("recurrent", r#"{"depth": 8, "norm": false}"#, DIGITS),
            ("mixer", r#"{"patch": 7}"#, DIGITS),
            ("resmlp", r#"{"patch": 2, "depth": 3}"#, COLOURS),
            ("mlp", r#"{"depth": 2, "activation": "gelu"}"#, SIGNALS),
            ("perceiver", r#"{"bands": 2, "blocks": 2}"#, DIGITS),
            ("perceiver", r#"{"position": "none", "latents": 16, "heads": 1}"#, COLOURS),
            ("perceiver", r#"{"width": 128, "heads": 2, "share": false}"#, COLOURS),
            ("moe", r#"{"last": 2, "experts": 16, "top_k": 1, "patch": 7}"#, DIGITS),
            ("moe", r#"{"router": "soft", "experts": 4, "every": 4}"#, DIGITS),
            ("convnet", r#"{"depths": [1, 1, 1]}"#, SIGNALS),
            ("convnet", r#"{"depths": [3, 4, 6, 3], "block": "bottleneck"}"#, COLOURS),
            ("convnet", r#"{"block": "plain", "padding": "circular", "width": 24}"#, DIGITS),
        ] {
            let given = held(keys);
            let found = reached(name, &given, &targets(3, 8).map(Target::Params).collect::<Vec<_>>(), io);
            assert!(found.len() >= 4, "{name} {keys}: {}", found.len());
            for settings in found {
                assert!(given.iter().all(|(key, value)| settings[key] == *value), "{name} {keys}: {settings:?}");
            }
        }
        let refused = scale_to("vit", &held(r#"{"patch": 9}"#), Target::Params(1e6), 0.1, DIGITS).unwrap_err();
        assert_eq!(refused.message, "vit: patch = 9: must divide the 28x28 image");
        assert!(scale_to("vit", &Settings::new(), Target::Params(f64::NAN), 0.1, DIGITS).is_err());
    }

    #[test]
    fn held_keys_win_over_what_is_usual() {
        let found = |name: &str, keys: &str, target: f64| {
            let model = scale_to(name, &held(keys), Target::Params(target), 0.2, DIGITS).unwrap();
            sizes(&model.settings)
        };
        assert_eq!(found("vit", r#"{"width": 32, "depth": 9}"#, 1.2e5), [32, 9]);
        // Of a held width every depth is a rung, of a held depth every width.
        assert_eq!(found("vit", r#"{"width": 32}"#, 2e5), [32, 16]);
        assert_eq!(found("vit", r#"{"depth": 1}"#, 2e5), [128, 1]);
        assert_eq!(found("convnet", r#"{"width": 16}"#, 2.7e5), [16, 3, 3, 3]);
        assert_eq!(found("convnet", r#"{"depths": [2]}"#, 2e4), [24, 2]);
        assert_eq!(found("convnet", r#"{"width": 3, "depths": [1, 4]}"#, 2.8e3), [3, 1, 4]);
        assert_eq!(found("perceiver", r#"{"latents": 7, "bands": 1, "blocks": 5}"#, 1e5)[1..4], [7, 1, 5]);
    }

    #[test]
    fn widths_are_round_for_their_size() {
        let all = widths(2, 8, 2000);
        let between = |from: u64, to: u64| all.iter().copied().filter(|w| (from..to).contains(w)).collect::<Vec<_>>();
        assert_eq!(between(8, 24), [8, 10, 12, 14, 16, 18, 20, 22]);
        assert_eq!(between(40, 60), [40, 44, 48, 52, 56]);
        assert_eq!(between(160, 200), [160, 168, 176, 184, 192]);
        assert_eq!(between(720, 900), [736, 768, 800, 832, 864, 896]);
        assert_eq!(widths(1, 4, 24), [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24]);
        assert!(widths(3, 8, 500).iter().all(|width| width.is_multiple_of(3)));
    }

    #[test]
    fn depth_goes_up_after_width_one_at_a_time() {
        let levels = through(&[(16, 2), (64, 4), (192, 12), (768, 12)]);
        assert_eq!(levels[..4], [(0, 2), (40, 3), (64, 4), (80, 5)]);
        assert_eq!(levels.last(), Some(&(192, 12)));
        assert_eq!(climb(&[32, 48, 80], &levels), [(32, 2), (48, 2), (48, 3), (80, 3), (80, 4), (80, 5)]);
    }
}

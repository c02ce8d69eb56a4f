//! The bias that each architecture is said to have.

use crossover_worker::model::Io;
use crossover_worker::model::network::Mode;
use crossover_worker::run::Named;
use tch::{Kind, Tensor, no_grad};

use crate::{gap, images, io, model, shaken};

/// How far logits move when the image's patches change places.
fn moved_by_permutation(model: &Named, io: Io, patch: i64) -> f64 {
    let (network, params, stats) = shaken(model, io, 2);
    let images = images(2, 3, io);
    let (channels, grid) = (io.channels as i64, io.height as i64 / patch);
    let cells = images.view([2, 3, channels, grid, patch, grid, patch].as_slice()).permute([3, 5, 0, 1, 2, 4, 6]);
    let order = (Tensor::arange(grid * grid, (Kind::Int64, tch::Device::Cpu)) * 5 + 3).remainder(grid * grid);
    let cells = cells.reshape([grid * grid, 2, 3, channels, patch, patch]).index_select(0, &order);
    let cells = cells.view([grid, grid, 2, 3, channels, patch, patch].as_slice()).permute([2, 3, 4, 0, 5, 1, 6]);
    let permuted = cells.reshape([2, 3, channels, io.height as i64, io.width as i64]);
    assert!(gap(&images, &permuted) > 0.1);
    let logits = |images: &Tensor| no_grad(|| network.forward(&params, &stats, images, Mode::Eval).logits);
    gap(&logits(&images), &logits(&permuted))
}

#[test]
fn without_a_position_code_the_order_of_tokens_does_not_matter() {
    let io = io(3, 16, 16, 5);
    for (arch, pool, more) in [
        ("vit", "cls", ""),
        ("vit", "mean", ""),
        ("vit", "mean", r#", "qk": "identity", "residual": false"#),
        ("recurrent", "cls", r#", "norm": false"#),
    ] {
        for (position, matters) in [("none", false), ("learned", true), ("sincos", true)] {
            let keys = format!(r#"{{"width": 16, "depth": 2, "pool": "{pool}", "position": "{position}"{more}}}"#);
            let moved = moved_by_permutation(&model(arch, &keys), io, 4);
            assert_eq!(moved > 1e-4, matters, "{arch} {pool} {position}{more}: {moved}");
        }
    }
}

/// Without a code, too: the window is on the grid.
#[test]
fn a_window_knows_who_is_next_to_whom() {
    for pool in ["cls", "mean"] {
        let keys = |window: i64| {
            format!(r#"{{"width": 16, "depth": 2, "pool": "{pool}", "position": "none", "window": {window}}}"#)
        };
        let moved = |window: i64| moved_by_permutation(&model("vit", &keys(window)), io(3, 16, 16, 5), 4);
        assert!(moved(1) > 1e-4, "{pool}");
        assert!(moved(3) < 1e-4, "{pool}: on a grid of 4 x 4 every token is within 3");
    }
}

/// Two equal spots in a row of nothing: as long as no token sees both it does not matter how far apart they are. Tokens
/// see `depth` tokens far; the class token reads what they saw before the last block.
#[test]
fn windows_add_up_block_by_block() {
    for (pool, depth, sees) in [("mean", 1, 1), ("mean", 2, 2), ("cls", 2, 1), ("cls", 3, 2)] {
        let keys = format!(r#""width": 16, "depth": {depth}, "heads": 1, "patch": 1, "pool": "{pool}", "window": 1"#);
        let model = model("vit", &format!(r#"{{{keys}, "position": "none"}}"#));
        let (network, params, stats) = shaken(&model, io(1, 1, 24, 5), 1);
        let params = params.to_kind(Kind::Double); // further blocks tell ever less
        let logits = |apart: i64| {
            let image = Tensor::zeros([1, 1, 1, 1, 24], (Kind::Double, tch::Device::Cpu));
            for at in [8, 8 + apart] {
                let _ = image.narrow(4, at, 1).fill_(3.0);
            }
            no_grad(|| network.forward(&params, &stats, &image, Mode::Eval).logits)
        };
        let far = logits(9);
        let [beyond, within] = [2 * sees + 1, 2 * sees].map(|apart| gap(&logits(apart), &far));
        assert!(beyond < 1e-12 && within > 1e-8, "{pool} {depth}: {beyond}, {within}");
    }
}

/// Logits `[1, B, K]` of a `canvas x canvas` image of nothing but these spots of 6 x 6, by their top left pixels. A spot may
/// reach over the border, to the opposite side.
fn logits_of_spots(model: &Named, canvas: i64, spots: &[[i64; 2]]) -> Tensor {
    let io = io(1, canvas as u64, canvas as u64, 5);
    let (network, params, stats) = shaken(model, io, 1);
    let mut image = Tensor::zeros([1, 1, 1, canvas, canvas], (Kind::Float, tch::Device::Cpu));
    for (seed, at) in (1..).zip(spots) {
        let spot = crate::normal(seed, &[1, 1, 1, 6, 6]).constant_pad_nd([0, canvas - 6, 0, canvas - 6]);
        image += spot.roll([at[0], at[1]], [3, 4]);
    }
    no_grad(|| network.forward(&params, &stats, &image, Mode::Eval).logits)
}

/// With one stage there is no stride, so a shift by one pixel is a shift inside.
#[test]
fn without_a_position_code_a_perceiver_does_not_mind_where_pixels_are() {
    let io = io(3, 8, 8, 5);
    for share in [true, false] {
        for (position, matters) in [("none", false), ("learned", true), ("fourier", true)] {
            let keys = format!(r#"{{"latents": 6, "width": 16, "position": "{position}", "share": {share}}}"#);
            let moved = moved_by_permutation(&model("perceiver", &keys), io, 1);
            assert_eq!(moved > 1e-4, matters, "{position}, share = {share}: {moved}");
        }
    }
}

/// Mixers and MLPs have weights for each place.
#[test]
fn mlps_over_tokens_or_pixels_mind_where_these_are() {
    for (arch, patch) in [("mixer", 4), ("resmlp", 4), ("mlp", 1)] {
        let moved = moved_by_permutation(&model(arch, r#"{"width": 16, "depth": 2}"#), io(3, 16, 16, 5), patch);
        assert!(moved > 1e-4, "{arch}: {moved}");
    }
}

#[test]
fn a_convnet_does_not_mind_shifts_away_from_borders() {
    for block in ["plain", "basic", "bottleneck", "convnext"] {
        let model = model("convnet", &format!(r#"{{"width": 4, "depths": [1], "block": "{block}"}}"#));
        let at = |row: i64| logits_of_spots(&model, 32, &[[row, 12]]);
        assert!(gap(&at(12), &at(13)) < 1e-5, "{block}");
        assert!(gap(&at(12), &at(0)) > 1e-4, "{block}: at the border it should notice");
    }
}

#[test]
fn padding_in_a_circle_leaves_no_border() {
    for block in ["plain", "basic", "bottleneck", "convnext"] {
        let keys = format!(r#"{{"width": 4, "depths": [2], "block": "{block}", "padding": "circular"}}"#);
        let at = |row: i64, column: i64| logits_of_spots(&model("convnet", &keys), 20, &[[row, column]]);
        for (row, column) in [(0, 0), (17, 3), (9, 18)] {
            assert!(gap(&at(7, 7), &at(row, column)) < 1e-5, "{block}: {row}, {column}");
        }
    }
}

/// With a receptive field of 5 two spots are seen one at a time as long as 4 pixels lie between them, also around the
/// border; with 3 between them they are not.
#[test]
fn a_narrow_receptive_field_sees_one_thing_at_a_time() {
    let model = model("convnet", r#"{"width": 6, "depths": [1], "block": "plain", "padding": "circular"}"#);
    let with = |row: i64, column: i64| logits_of_spots(&model, 32, &[[13, 13], [row, column]]);
    let far = with(0, 0);
    for (row, column) in [(3, 13), (13, 23), (23, 23), (29, 3)] {
        assert!(gap(&far, &with(row, column)) < 1e-5, "{row}, {column}");
    }
    for (row, column) in [(4, 13), (13, 22)] {
        assert!(gap(&far, &with(row, column)) > 1e-5, "{row}, {column}");
    }
}

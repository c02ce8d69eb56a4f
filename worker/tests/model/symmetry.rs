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
    for pool in ["cls", "mean"] {
        for (position, matters) in [("none", false), ("learned", true), ("sincos", true)] {
            let keys = format!(r#"{{"width": 16, "depth": 2, "pool": "{pool}", "position": "{position}"}}"#);
            let moved = moved_by_permutation(&model("vit", &keys), io, 4);
            assert_eq!(moved > 1e-4, matters, "{pool} {position}: {moved}");
        }
    }
}

#[test]
fn a_convnet_does_not_mind_shifts_away_from_borders() {
    let io = io(1, 32, 32, 5);
    let (network, params, stats) = shaken(&model("convnet", r#"{"width": 4, "depths": [1]}"#), io, 1);
    // Something in the middle of nothing: with one stage there is no stride, so a shift by one pixel is a shift inside.
    let at = |row: i64| {
        let canvas = Tensor::zeros([1, 1, 1, 32, 32], (Kind::Float, tch::Device::Cpu));
        canvas.narrow(3, row, 6).narrow(4, 12, 6).copy_(&crate::normal(1, &[1, 1, 1, 6, 6]));
        no_grad(|| network.forward(&params, &stats, &canvas, Mode::Eval).logits)
    };
    assert!(gap(&at(12), &at(13)) < 1e-5);
    assert!(gap(&at(12), &at(0)) > 1e-4, "at the border it should notice");
}

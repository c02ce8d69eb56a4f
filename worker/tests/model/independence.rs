//! Rows of a pack are independent of each other: each gives what it gives alone.

use crossover_worker::model::network::Mode;
use tch::{Tensor, no_grad};

use crate::{gap, images, shaken, trained, zoo};

#[test]
fn a_pack_gives_each_row_what_it_gives_alone() {
    for (model, io) in zoo() {
        let (network, params, stats) = shaken(&model, io, 3);
        let images = images(3, 4, io);
        let (pack, gradient, losses) = trained(&network, &params, &stats, &images, &[7, 8, 9], &[1.0; 3]);
        let eval = no_grad(|| network.forward(&params, &stats, &images, Mode::Eval).logits);
        for row in 0..3 {
            let one = |all: &Tensor| all.narrow(0, row, 1);
            let seeds = [7 + row as u64];
            let (alone, alone_gradient, alone_loss) =
                trained(&network, &one(&params), &one(&stats), &one(&images), &seeds, &[1.0]);
            let scale = alone_gradient.abs().max().double_value(&[]);
            assert!(gap(&one(&pack.logits), &alone.logits) < 1e-4, "{model:?}");
            assert!(gap(&one(&losses), &alone_loss) < 1e-5, "{model:?}");
            assert!(gap(&one(&gradient), &alone_gradient) < 1e-4 * scale.max(1.0), "{model:?}");
            match (&pack.stats, &alone.stats) {
                (Some(pack), Some(alone)) => assert!(gap(&one(pack), alone) < 1e-5, "{model:?}"),
                (None, None) => assert_eq!(network.layout().stats, 0),
                _ => panic!("{model:?}: running statistics in a pack or alone only"),
            }
            let alone = no_grad(|| network.forward(&one(&params), &one(&stats), &one(&images), Mode::Eval).logits);
            assert!(gap(&one(&eval), &alone) < 1e-4, "{model:?}");
        }
    }
}

#[test]
fn a_row_does_not_touch_its_neighbours() {
    for (model, io) in zoo() {
        let (network, params, stats) = shaken(&model, io, 3);
        let images = images(3, 4, io);
        let (_, gradient, _) = trained(&network, &params, &stats, &images, &[7, 8, 9], &[0.0, 1.0, 0.0]);
        let size = |row: i64| gradient.get(row).abs().max().double_value(&[]);
        assert!(size(0) == 0.0 && size(2) == 0.0 && size(1) > 0.0, "{model:?}");
        // Not even when it is broken.
        let broken_params = params.copy();
        let _ = broken_params.get(0).fill_(f64::NAN);
        let logits = |params: &Tensor| no_grad(|| network.forward(params, &stats, &images, Mode::Eval).logits);
        let (whole, broken) = (logits(&params), logits(&broken_params));
        assert!(broken.get(0).isnan().any().double_value(&[]) == 1.0, "{model:?}");
        assert!(gap(&whole.narrow(0, 1, 2), &broken.narrow(0, 1, 2)) == 0.0, "{model:?}");
        let gradients = |params| trained(&network, params, &stats, &images, &[7, 8, 9], &[1.0; 3]).1.narrow(0, 1, 2);
        assert!(gap(&gradients(&params), &gradients(&broken_params)) == 0.0, "{model:?}");
    }
}

#[test]
fn the_inputs_are_left_as_they_are() {
    for (model, io) in zoo() {
        let (network, params, stats) = shaken(&model, io, 2);
        let (before, images) = (stats.copy(), images(2, 4, io));
        let (output, _, _) = trained(&network, &params, &stats, &images, &[1, 2], &[1.0; 2]);
        assert!(gap(&stats, &before) == 0.0, "{model:?}");
        assert_eq!(output.stats.is_some(), network.layout().stats > 0, "{model:?}");
        let again = trained(&network, &params, &stats, &images, &[1, 2], &[1.0; 2]).0;
        assert!(gap(&output.logits, &again.logits) == 0.0, "{model:?}: the same pass gave other logits");
    }
}

//! The learning rate over a run: a pure function of the step.

use std::f64::consts::PI;

use crate::run::{Recipe, Schedule};

/// What the peak learning rate is multiplied by in the update number `step` (from 0) of `steps`. Warmup rises linearly
/// to 1; a cosine falls to 0 over the rest of the budget and would reach it one step after the last, and so does a
/// cooldown, as 1 - sqrt of its progress (Hägele et al. 2024, arXiv:2405.18392).
pub fn factor(recipe: &Recipe, step: u64, steps: u64) -> f64 {
    if step < recipe.warmup {
        return (step + 1) as f64 / recipe.warmup as f64;
    }
    match recipe.schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => {
            let progress = (step - recipe.warmup) as f64 / steps.saturating_sub(recipe.warmup).max(1) as f64;
            0.5 * (1.0 + (PI * progress.min(1.0)).cos())
        }
        Schedule::Wsd { .. } => {
            let trunk = recipe.schedule.trunk_steps(steps);
            1.0 - (step.saturating_sub(trunk) as f64 / (steps - trunk).max(1) as f64).min(1.0).sqrt()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(schedule: Schedule, warmup: u64) -> Recipe {
        Recipe {
            batch: 1,
            lr: 1.0,
            weight_decay: 0.0,
            beta2: 0.999,
            clip: None,
            warmup,
            schedule,
            evals: 1,
            ..Recipe::default()
        }
    }

    /// torch.optim.lr_scheduler: SequentialLR(o, [LinearLR(o, 1 / 4, 1, 3), CosineAnnealingLR(o, 6)], [3]) over 9
    /// updates with warmup 3 differs by its first factor (1/4, 2/4, 3/4, 1 against 1/3, 2/3, 1, 1); the cosine part:
    /// o = SGD([p], 1.0); s = CosineAnnealingLR(o, 6); [s.step() or s.get_last_lr()[0] for _ in range(6)]
    #[test]
    fn warmup_then_cosine() {
        let cosine = recipe(Schedule::Cosine, 3);
        let factors: Vec<f64> = (0..9).map(|step| factor(&cosine, step, 9)).collect();
        let expected = [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 0.9330127, 0.75, 0.5, 0.25, 0.0669873];
        assert!(factors.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{factors:?}");
        let constant = recipe(Schedule::Constant, 0);
        assert!((0..9).all(|step| factor(&constant, step, 9) == 1.0));
        // A budget shorter than its warmup is all warmup.
        assert_eq!(factor(&recipe(Schedule::Cosine, 10), 3, 4), 0.4);
    }

    /// torch 2.11.0's LambdaLR over 20 updates with warmup 4 and the paper's (1 - sqrt) cooldown over the last 8:
    ///   f = lambda n: (n + 1) / 4 if n < 4 else 1 if n < 12 else 1 - math.sqrt((n - (20 - 8)) / 8)
    ///   o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0); s = torch.optim.lr_scheduler.LambdaLR(o, f)
    ///   [(o.param_groups[0]['lr'], o.step(), s.step())[0] for _ in range(20)]
    #[test]
    fn warmup_then_stable_then_decay() {
        let wsd = recipe(Schedule::Wsd { cooldown: 0.4 }, 4);
        let factors: Vec<f64> = (0..20).map(|step| factor(&wsd, step, 20)).collect();
        let decay = [1.0, 0.6464466094, 0.5, 0.3876275643, 0.2928932188, 0.2094305850, 0.1339745962, 0.0645856533];
        let expected = [&[0.25, 0.5, 0.75][..], &[1.0; 9], &decay].concat();
        assert!(factors.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{factors:?}");
        // The updates of a trunk are those of every longer run.
        assert!((0..12).all(|step| factor(&wsd, step, 20) == factor(&wsd, step, 50)));
    }
}

//! One update of AdamW with clipping on a CPU, one thread: microseconds of one pass over a row and of operations on whole
//! tensors, taken in turn, and how many times longer the latter take.
//!
//!     cargo bench -p crossover-worker --bench adamw

use std::time::Instant;

use crossover_worker::run::{Recipe, Schedule};
use crossover_worker::train::optimizer::AdamW;
use crossover_worker::train::process::prepare;
use tch::{Device, Kind, Tensor, no_grad};

const ROUNDS: usize = 41;

fn main() {
    prepare(1);
    println!("{:>10} {:>3} {:>12} {:>12} {:>6}  (middle half)", "P", "R", "one pass us", "tensors us", "ratio");
    for (params, rows) in [(10_000, 1), (100_000, 1), (100_000, 8), (1_000_000, 1), (10_000_000, 1)] {
        let [mut fused, mut tensors] = [(); 2].map(|()| Case::new(rows, params));
        let times: Vec<(f64, f64)> = (0..ROUNDS as u64)
            .map(|step| {
                let grad = || Tensor::randn([rows, params], (Kind::Float, Device::Cpu));
                let one = fused.time(grad(), |case, grad| case.optimizer.update(&mut case.params, grad, 1.0, step));
                let other =
                    tensors.time(grad(), |case, grad| case.optimizer.update_tensors(&mut case.params, grad, 1.0, step));
                (one, other)
            })
            .collect();
        let mut ratios: Vec<f64> = times.iter().map(|(one, other)| other / one).collect();
        let middle = |values: &mut Vec<f64>, share: f64| {
            values.sort_by(f64::total_cmp);
            values[(share * (values.len() - 1) as f64) as usize]
        };
        let mut ones: Vec<f64> = times.iter().map(|(one, _)| *one).collect();
        let mut others: Vec<f64> = times.iter().map(|(_, other)| *other).collect();
        println!(
            "{params:>10} {rows:>3} {:>12.0} {:>12.0} {:>6.2}  ({:.2} to {:.2})",
            middle(&mut ones, 0.5),
            middle(&mut others, 0.5),
            middle(&mut ratios, 0.5),
            middle(&mut ratios, 0.25),
            middle(&mut ratios, 0.75)
        );
    }
}

struct Case {
    params: Tensor,
    optimizer: AdamW,
}

impl Case {
    fn new(rows: i64, params: i64) -> Self {
        let recipe = Recipe { batch: 1, schedule: Schedule::Constant, evals: 1, ..Recipe::default() };
        let optimizer = AdamW::new(&vec![&recipe; rows as usize], params, params - params / 20, Device::Cpu);
        Self { params: Tensor::randn([rows, params], (Kind::Float, Device::Cpu)), optimizer }
    }

    /// In microseconds.
    fn time(&mut self, grad: Tensor, update: impl Fn(&mut Self, Tensor)) -> f64 {
        let begun = Instant::now();
        no_grad(|| update(self, grad));
        begun.elapsed().as_secs_f64() * 1e6
    }
}

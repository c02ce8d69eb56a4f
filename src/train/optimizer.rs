//! AdamW over the flat parameters of a pack: one pass on a CPU, a handful of operations on whole tensors on a GPU.

use tch::{Device, Kind, Tensor};

use crate::model::kernel::{numbers, numbers_mut};
use crate::run::Recipe;
use crate::train::fused::{self, Row, Update};

/// Its state and the columns in which rows differ. In shape comments: R rows, P parameters.
#[derive(Debug)]
pub struct AdamW {
    /// Means of gradients and of their squares, `[R, P]`.
    pub first: Tensor,
    pub second: Tensor,
    /// Of each row, its peak learning rate, and learning rate x weight decay.
    rates: Vec<(f64, f64)>,
    /// The same on the device, `[R, 1]`.
    lr: Tensor,
    decay: Tensor,
    /// Weight decay is for the first so many parameters of a row.
    decayed: i64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    clip: Option<f64>,
}

impl AdamW {
    /// Rows may differ in learning rate and weight decay; the rest is the first row's.
    pub fn new(recipes: &[&Recipe], params: i64, decayed: i64, device: Device) -> Self {
        let shape = [recipes.len() as i64, params];
        let column = |value: fn(&Recipe) -> f64| {
            let values: Vec<f32> = recipes.iter().map(|recipe| value(recipe) as f32).collect();
            Tensor::from_slice(&values).unsqueeze(1).to_device(device)
        };
        Self {
            first: Tensor::zeros(shape, (Kind::Float, device)),
            second: Tensor::zeros(shape, (Kind::Float, device)),
            rates: recipes.iter().map(|recipe| (recipe.lr, recipe.lr * recipe.weight_decay)).collect(),
            lr: column(|recipe| recipe.lr),
            decay: column(|recipe| recipe.lr * recipe.weight_decay),
            decayed,
            beta1: recipes[0].beta1,
            beta2: recipes[0].beta2,
            epsilon: recipes[0].epsilon,
            clip: recipes[0].clip,
        }
    }

    /// Update number `step` (from 0) of `params` `[R, P]` by `grad` `[R, P]`, in place; `factor` is the schedule's.
    /// The gradient of each row is clipped to its own norm. As torch.optim.AdamW, and clip_grad_norm_ before it.
    pub fn update(&mut self, params: &mut Tensor, grad: Tensor, factor: f64, step: u64) {
        match params.device() {
            Device::Cpu => self.update_rows(params, &grad.contiguous(), factor, step),
            _ => self.update_tensors(params, grad, factor, step),
        }
    }

    /// What the means lack of what they would be, had they not started at zero; of the second the root.
    fn corrections(&self, step: u64) -> (f64, f64) {
        let count = (step + 1) as f64;
        (1.0 - self.beta1.powf(count), (1.0 - self.beta2.powf(count)).sqrt())
    }

    fn update_rows(&mut self, params: &mut Tensor, grad: &Tensor, factor: f64, step: u64) {
        let (of_first, of_second) = self.corrections(step);
        let (length, threads) = (grad.size()[1] as usize, tch::get_num_threads() > 1);
        let (first, second) = (numbers_mut(&mut self.first), numbers_mut(&mut self.second));
        let moments = first.chunks_exact_mut(length).zip(second.chunks_exact_mut(length));
        let rows = numbers_mut(params).chunks_exact_mut(length).zip(moments).zip(numbers(grad).chunks_exact(length));
        for (((params, (first, second)), grad), (lr, decay)) in rows.zip(&self.rates) {
            let update = Update {
                toward: (1.0 - self.beta1) as f32,
                beta2: self.beta2 as f32,
                rest2: (1.0 - self.beta2) as f32,
                epsilon: (self.epsilon * of_second) as f32,
                rate: (-lr * factor * of_second / of_first) as f32,
                keep: (1.0 - decay * factor) as f32,
            };
            let clip = self.clip.map(|clip| clip as f32);
            fused::update(Row { params, first, second, grad }, self.decayed as usize, clip, update, threads);
        }
    }

    /// The same by operations on whole tensors, on any device.
    pub fn update_tensors(&mut self, params: &mut Tensor, mut grad: Tensor, factor: f64, step: u64) {
        let (of_first, of_second) = self.corrections(step);
        if let Some(clip) = self.clip {
            let norm = grad.norm_scalaropt_dim(2, [1i64].as_slice(), true); // [R, 1]
            let _ = grad.multiply_(&((norm + 1e-6).reciprocal() * clip).clamp_max(1.0));
        }
        if self.decayed > 0 {
            let _ = params.narrow(1, 0, self.decayed).multiply_(&(1.0 - &self.decay * factor));
        }
        let _ = self.first.lerp_(&grad, 1.0 - self.beta1);
        let _ = self.second.g_mul_scalar_(self.beta2).addcmul_(&(&grad * (1.0 - self.beta2)), &grad);
        // p -= rate / of_first * first / (sqrt(second) / of_second + epsilon), with one division by a column.
        let scale = &self.lr * (-factor * of_second / of_first);
        let denominator = self.second.sqrt().g_add_scalar_(self.epsilon * of_second).divide_(&scale);
        let _ = params.addcdiv_(&self.first, &denominator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Schedule;

    fn recipe(lr: f64, weight_decay: f64, clip: Option<f64>) -> Recipe {
        Recipe {
            batch: 1,
            lr,
            weight_decay,
            epsilon: 1e-3,
            clip,
            schedule: Schedule::Constant,
            evals: 1,
            ..Recipe::default()
        }
    }

    /// What GPUs do, done here.
    #[test]
    fn rows_are_updated_as_by_operations_on_tensors() {
        let recipes = [recipe(0.1, 0.5, Some(1.0)), recipe(0.03, 0.0, Some(1.0)), recipe(1e-3, 0.01, Some(1.0))];
        let recipes: Vec<_> = recipes.iter().collect();
        let mut optimizers = [(); 2].map(|()| AdamW::new(&recipes, 1001, 700, Device::Cpu));
        let start = Tensor::randn([3, 1001], (Kind::Float, Device::Cpu));
        let mut params = [start.copy(), start.copy()];
        for step in 0..4u64 {
            let grad = Tensor::randn([3, 1001], (Kind::Float, Device::Cpu)) * 10f64.powi(step as i32 - 3);
            optimizers[0].update(&mut params[0], grad.copy(), 0.7, step);
            optimizers[1].update_tensors(&mut params[1], grad, 0.7, step);
        }
        let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(apart(&params[0], &start) > 0.1 && apart(&params[0], &params[1]) < 1e-6);
        assert!(apart(&optimizers[0].first, &optimizers[1].first) < 1e-7);
        assert!(apart(&optimizers[0].second, &optimizers[1].second) < 1e-7);
    }

    /// Numbers from torch 2.11.0, decayed and undecayed parameters in two groups:
    ///   def row(lr, wd, clip, scale):
    ///       a = torch.tensor([1., -2., 3.], dtype=torch.float64, requires_grad=True)
    ///       b = torch.tensor([.5, -.25], dtype=torch.float64, requires_grad=True)
    ///       o = torch.optim.AdamW([dict(params=[a], weight_decay=wd), dict(params=[b], weight_decay=0.)],
    ///                             lr=lr, betas=(.9, .99), eps=1e-3)
    ///       for t in range(5):
    ///           o.zero_grad(); (scale * ((a - t) ** 2).sum() + scale * ((b * a[:2]) ** 2).sum()).backward()
    ///           if clip: torch.nn.utils.clip_grad_norm_([a, b], clip)
    ///           for g in o.param_groups: g['lr'] = lr * (1 - t / 5)
    ///           o.step()
    ///       print(torch.cat([a, b]).tolist())
    ///   row(.1, .5, 1., 1.); row(.03, .01, 1., .01)
    #[test]
    fn equals_torch() {
        let expected: [[f64; 5]; 2] = [
            [0.7536807, -1.4352849, 2.330251, 0.2204363, 0.0161082],
            [0.9582949, -1.9104442, 2.9184537, 0.4191558, -0.1655706],
        ];
        let recipes = [recipe(0.1, 0.5, Some(1.0)), recipe(0.03, 0.01, Some(1.0))];
        let mut optimizer = AdamW::new(&recipes.iter().collect::<Vec<_>>(), 5, 3, Device::Cpu);
        let start = [1.0f32, -2.0, 3.0, 0.5, -0.25];
        let mut params = Tensor::from_slice(&[start, start].concat()).view([2, 5]);
        for t in 0..5u64 {
            let leaf = params.copy().set_requires_grad(true);
            let (a, b) = (leaf.narrow(1, 0, 3), leaf.narrow(1, 3, 2));
            let loss = (&a - t as f64).square().sum_dim_intlist([1i64].as_slice(), false, None)
                + (b * a.narrow(1, 0, 2)).square().sum_dim_intlist([1i64].as_slice(), false, None);
            let total = (loss * Tensor::from_slice(&[1.0f32, 0.01])).sum(Kind::Float);
            let grad = Tensor::run_backward(&[total], &[leaf], false, false).remove(0);
            optimizer.update(&mut params, grad, 1.0 - t as f64 / 5.0, t);
        }
        for (row, expected) in expected.iter().enumerate() {
            let got: Vec<f64> = Vec::try_from(params.get(row as i64).to_kind(Kind::Double)).unwrap();
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6), "row {row}: {got:?}");
        }
    }
}

//! What a linear model makes of a task: multinomial logistic regression, for tests of how hard the examples are.

/// Softmax of linear logits, the last weight of each class its bias.
pub struct Linear {
    weights: Vec<Vec<f64>>,
}

impl Linear {
    /// Fitted to features and how often each class was seen with them, by gradient descent with momentum; the loss is
    /// convex, so it finds the optimum if `steps` are many and `rate` is small enough.
    pub fn fit(seen: &[(Vec<f64>, Vec<f64>)], steps: u32, rate: f64) -> Self {
        let (features, classes) = (seen[0].0.len() + 1, seen[0].1.len());
        let total: f64 = seen.iter().flat_map(|(_, counts)| counts).sum();
        let mut model = Self { weights: vec![vec![0.0; features]; classes] };
        let mut velocity = model.weights.clone();
        for _ in 0..steps {
            velocity.iter_mut().flatten().for_each(|v| *v *= 0.9);
            for (x, counts) in seen {
                let (shares, count) = (model.shares(x), counts.iter().sum::<f64>());
                for ((share, seen), velocity) in shares.iter().zip(counts).zip(&mut velocity) {
                    let push = rate * (seen - count * share) / total;
                    velocity.iter_mut().zip(x.iter().chain([&1.0])).for_each(|(v, x)| *v += push * x);
                }
            }
            model.weights.iter_mut().flatten().zip(velocity.iter().flatten()).for_each(|(w, v)| *w += v);
        }
        model
    }

    /// Probabilities of the classes.
    pub fn shares(&self, x: &[f64]) -> Vec<f64> {
        let logit = |w: &Vec<f64>| w[x.len()] + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        let odds: Vec<f64> = self.weights.iter().map(|weights| logit(weights).exp()).collect();
        let total: f64 = odds.iter().sum();
        odds.into_iter().map(|odds| odds / total).collect()
    }
}

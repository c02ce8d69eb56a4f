//! The registry of laws: one file and one line here for each.

mod broken;
mod chinchilla;
pub mod fixed;
pub mod frontier;
mod joint;
mod kaplan;
pub mod law;
mod log;
mod m4;
mod power;
pub mod power_floor;
mod repeated;
mod shifted;
mod sigmoid;

pub use self::law::{Domain, Law, LnX, MAX_PARAMS, Param, Theta};

use crate::error::{Error, Result, nearest};

/// Every law that can be fitted, in the order in which tables list them.
pub const ALL: &[&dyn Law] = &[
    &power::Power,
    &log::Log,
    &power_floor::PowerFloor,
    &shifted::Shifted,
    &m4::M4,
    &sigmoid::Sigmoid,
    &broken::Broken { breaks: 1 },
    &broken::Broken { breaks: 2 },
    &chinchilla::Chinchilla,
    &kaplan::Kaplan,
    &joint::Joint,
    &repeated::Repeated,
    &frontier::Frontier,
];

/// The law of that name.
pub fn by_name(name: &str) -> Result<&'static dyn Law> {
    let found = ALL.iter().copied().find(|law| law.name() == name);
    found.ok_or_else(|| unknown(name, &ALL.iter().map(|law| law.name()).collect::<Vec<_>>()))
}

/// Nothing in `names` is called so.
pub fn unknown(name: &str, names: &[&str]) -> Error {
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean --law {near}?"),
        None => format!("the laws are {}", names.join(", ")),
    };
    Error::bad_input(format!("--law {name}: there is no law of that name")).hint(hint)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::fit::data::sample::Sample;

    /// A law's gradient agrees with central differences wherever its starts lie.
    #[test]
    fn gradients_are_exact() {
        let ln_x: Vec<LnX> =
            (0..6).map(|i| [6.0 + f64::from(i), 8.0 + 1.7 * f64::from(i), 8.0 + 2.2 * f64::from(i)]).collect();
        let ln_y: Vec<f64> = (0..6).map(|i| (1.1 + 3.0 * (-0.4 * f64::from(i)).exp()).ln()).collect();
        let sample = Sample { weight: vec![1.0; 6], ln_x: ln_x.clone(), ln_y };
        for law in ALL {
            let starts = law.starts(&sample);
            assert!(!starts.is_empty(), "{}", law.name());
            for theta in starts {
                for x in &ln_x {
                    check_gradient(*law, &theta, x);
                }
            }
        }
    }

    pub fn check_gradient(law: &dyn Law, theta: &Theta, ln_x: &LnX) {
        let mut exact = Theta::default();
        let mut ignored = Theta::default();
        law.ln_loss(theta, ln_x, &mut exact);
        for i in 0..law.params().len() {
            let step = 1e-6 * theta[i].abs().max(0.05);
            let (mut up, mut down) = (*theta, *theta);
            up[i] += step;
            down[i] -= step;
            let slope = (law.ln_loss(&up, ln_x, &mut ignored) - law.ln_loss(&down, ln_x, &mut ignored)) / (2.0 * step);
            assert!(
                (slope - exact[i]).abs() <= 1e-5 * slope.abs().max(1.0),
                "{} d/d{}: {} against {slope} at {theta:?}, {ln_x:?}",
                law.name(),
                law.params()[i].name,
                exact[i]
            );
        }
    }
}

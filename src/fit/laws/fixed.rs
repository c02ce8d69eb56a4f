//! A law of which some parameters are given a value or held equal to others: a law of its own with fewer parameters, so
//! that the search, leverage, degrees of freedom, verdicts and refusals count what is left free.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result, nearest};
use crate::fit::data::sample::{LnX, Sample};
use crate::fit::laws::law::{Domain, Law, MAX_PARAMS, Param, Theta};

/// One restriction as it is written: `E=1.6`, `alpha=beta`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    pub param: String,
    pub to: To,
}

#[derive(Clone, Debug, PartialEq)]
pub enum To {
    Value(f64),
    /// Another parameter.
    Param(String),
}

impl Fix {
    /// # Errors
    /// Not of the form NAME=VALUE or NAME=NAME.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "write NAME=VALUE or NAME=NAME, as in E=1.6 or alpha=beta".to_owned();
        let (param, to) = text.split_once('=').ok_or_else(form)?;
        let (param, to) = (param.trim().to_owned(), to.trim());
        if param.is_empty() || to.is_empty() {
            return Err(form());
        }
        let to = to.parse().map_or_else(|_| To::Param(to.to_owned()), To::Value);
        Ok(Self { param, to })
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Value(value) => write!(f, "{}={value}", self.param),
            To::Param(other) => write!(f, "{}={other}", self.param),
        }
    }
}

impl Serialize for Fix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a parameter of the whole law comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    /// The free parameter of this index.
    Free(usize),
    /// A value in solver coordinates.
    Value(f64),
}

/// A law with restrictions.
struct Restricted {
    whole: &'static dyn Law,
    sources: [Source; MAX_PARAMS],
    free: &'static [Param],
    /// Where each free parameter stands in the whole law.
    own: Vec<usize>,
    formula: &'static str,
}

/// The law with these restrictions; itself without any. It lives as long as the program does: a command asks for one.
///
/// # Errors
/// A name that the law does not have, twice the same name, a value outside of its parameter's range, a tie of parameters
/// that are searched on different scales or of a parameter to itself, and nothing left free.
pub fn restricted(law: &'static dyn Law, fixes: &[Fix]) -> Result<&'static dyn Law> {
    if fixes.is_empty() {
        return Ok(law);
    }
    let params = law.params();
    let mut given: Vec<Option<&To>> = vec![None; params.len()];
    for fix in fixes {
        let at = index(law, &fix.param)?;
        if given[at].is_some() {
            return Err(Error::bad_input(format!("--fix {fix}: {} is fixed twice", fix.param)));
        }
        given[at] = Some(&fix.to);
    }
    let mut ends = Vec::new();
    for at in 0..params.len() {
        ends.push(end_of(law, &given, at)?);
    }
    let mut sources = [Source::Value(0.0); MAX_PARAMS];
    let own: Vec<usize> = (0..params.len()).filter(|&at| ends[at] == End::Param(at)).collect();
    let free: Vec<Param> = own.iter().map(|&at| params[at]).collect();
    for (at, end) in ends.iter().enumerate() {
        sources[at] = match *end {
            End::Value(value) => Source::Value(params[at].theta(value)),
            End::Param(other) => Source::Free(own.iter().position(|&own| own == other).unwrap_or(0)),
        };
    }
    if free.is_empty() {
        let names = names(law).join(", ");
        return Err(Error::bad_input(format!("--fix leaves {} nothing to fit: {names} are all fixed", law.name()))
            .hint("leave one of them free"));
    }
    let told: Vec<String> = fixes.iter().map(|fix| fix.to_string().replace('=', " = ")).collect();
    let formula = format!("{}, {}", law.formula(), told.join(", "));
    let (free, formula) = (Box::leak(free.into_boxed_slice()), Box::leak(formula.into_boxed_str()));
    Ok(Box::leak(Box::new(Restricted { whole: law, sources, free, own, formula })))
}

/// What a parameter is in the end, its ties followed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Param(usize),
    Value(f64),
}

fn end_of(law: &dyn Law, given: &[Option<&To>], from: usize) -> Result<End> {
    let params = law.params();
    let mut at = from;
    for _ in 0..=params.len() {
        match given[at] {
            None => return Ok(End::Param(at)),
            Some(To::Value(value)) => {
                in_range(&params[from], *value)?;
                return Ok(End::Value(*value));
            }
            Some(To::Param(other)) => {
                let to = index(law, other)?;
                if params[to].is_log() != params[at].is_log() {
                    let (a, b) = (params[at].name, params[to].name);
                    return Err(Error::bad_input(format!("--fix {a}={b}: {a} and {b} are not of one kind"))
                        .hint("a tie holds two exponents, two amplitudes or two floors equal"));
                }
                at = to;
            }
        }
    }
    let name = params[from].name;
    Err(Error::bad_input(format!("--fix {name}=…: following its ties, {name} is only tied to itself"))
        .hint("leave one parameter of the ring free, or give it a value"))
}

fn names(law: &dyn Law) -> Vec<&'static str> {
    law.params().iter().map(|param| param.name).collect()
}

fn index(law: &dyn Law, name: &str) -> Result<usize> {
    law.params().iter().position(|param| param.name == name).ok_or_else(|| {
        let names = names(law);
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near}? Its parameters are {}", names.join(", ")),
            None => format!("its parameters are {}", names.join(", ")),
        };
        Error::bad_input(format!("--fix {name}=…: {} has no parameter of that name", law.name())).hint(hint)
    })
}

fn in_range(param: &Param, value: f64) -> Result<()> {
    let (low, high) = param.range();
    if value.is_finite() && value >= low && value <= high {
        return Ok(());
    }
    let range = if high.is_finite() { format!("from {low} to {high}") } else { format!("{low} or more") };
    Err(Error::bad_input(format!("--fix {}={value}: {} is {range}", param.name, param.name)))
}

impl Restricted {
    /// All parameters of the whole law.
    fn expanded(&self, theta: &Theta) -> Theta {
        let mut whole = Theta::default();
        for (value, source) in whole.iter_mut().zip(self.sources).take(self.whole.params().len()) {
            *value = match source {
                Source::Free(at) => theta[at],
                Source::Value(value) => value,
            };
        }
        whole
    }
}

impl Law for Restricted {
    fn name(&self) -> &'static str {
        self.whole.name()
    }

    fn formula(&self) -> &'static str {
        self.formula
    }

    fn source(&self) -> &'static str {
        self.whole.source()
    }

    fn domain(&self) -> Domain {
        self.whole.domain()
    }

    fn params(&self) -> &'static [Param] {
        self.free
    }

    fn ln_loss(&self, theta: &Theta, ln_x: &LnX, gradient: &mut Theta) -> f64 {
        let mut whole = Theta::default();
        let ln_loss = self.whole.ln_loss(&self.expanded(theta), ln_x, &mut whole);
        *gradient = Theta::default();
        for (slope, source) in whole.iter().zip(self.sources) {
            if let Source::Free(at) = source {
                gradient[at] += slope;
            }
        }
        ln_loss
    }

    /// Those of the whole law. A tied parameter starts where the one that it is tied to does.
    fn starts(&self, sample: &Sample) -> Vec<Theta> {
        let reduced = |whole: Theta| {
            let mut theta = Theta::default();
            theta.iter_mut().zip(&self.own).for_each(|(value, &at)| *value = whole[at]);
            theta
        };
        self.whole.starts(sample).into_iter().map(reduced).collect()
    }

    fn given(&self) -> Vec<&'static str> {
        let both = self.whole.params().iter().zip(self.sources);
        both.filter(|(_, source)| matches!(source, Source::Value(_))).map(|(param, _)| param.name).collect()
    }

    fn named(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        self.whole.named(&self.expanded(theta))
    }

    fn derived(&self, theta: &Theta) -> Vec<(&'static str, f64)> {
        self.whole.derived(&self.expanded(theta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::laws::by_name;
    use crate::fit::laws::tests::check_gradient;

    fn of(law: &str, fixes: &[&str]) -> Result<&'static dyn Law> {
        let fixes: Vec<Fix> = fixes.iter().map(|fix| Fix::parse(fix).unwrap()).collect();
        restricted(by_name(law).unwrap(), &fixes)
    }

    #[test]
    fn what_is_fixed_is_no_parameter_and_what_is_tied_moves_together() {
        let law = of("chinchilla", &["E=1.6", "alpha=beta"]).unwrap();
        let names: Vec<&str> = law.params().iter().map(|param| param.name).collect();
        assert_eq!(names, ["A", "B", "beta"]);
        assert_eq!(law.formula(), "L = E + A N^-alpha + B D^-beta, E = 1.6, alpha = beta");
        assert_eq!(law.given(), ["E"]);
        let theta = crate::fit::laws::law::theta_of(&[400f64.ln(), 2000f64.ln(), 0.35]);
        let loss = law.ln_loss(&theta, &[1e8f64.ln(), 1e10f64.ln(), 0.0], &mut Theta::default()).exp();
        let wanted = 1.6 + 400.0 * 1e8f64.powf(-0.35) + 2000.0 * 1e10f64.powf(-0.35);
        assert!((loss / wanted - 1.0).abs() < 1e-12);
        let named = law.named(&theta);
        assert_eq!(named.iter().map(|(name, _)| *name).collect::<Vec<_>>()[..5], ["E", "A", "B", "alpha", "beta"]);
        assert!((named[3].1, named[4].1) == (0.35, 0.35) && named[0].1 == 1.6 && (named[1].1 - 400.0).abs() < 1e-9);
        check_gradient(law, &theta, &[1e8f64.ln(), 1e10f64.ln(), 0.0]);
    }

    #[test]
    fn ties_lead_on_to_values() {
        let law = of("chinchilla", &["alpha=beta", "beta=0.3"]).unwrap();
        assert_eq!((law.params().len(), law.given()), (3, vec!["alpha", "beta"]));
    }

    #[test]
    fn what_cannot_be_fixed_is_refused_by_name() {
        let message = |law: &str, fixes: &[&str]| of(law, fixes).map(|law| law.name()).unwrap_err().message;
        assert_eq!(message("chinchilla", &["gamma=1"]), "--fix gamma=…: chinchilla has no parameter of that name");
        assert_eq!(message("chinchilla", &["alpha=betta"]), "--fix betta=…: chinchilla has no parameter of that name");
        assert_eq!(message("chinchilla", &["E=-1"]), "--fix E=-1: E is 0 or more");
        assert_eq!(message("chinchilla", &["alpha=11"]), "--fix alpha=11: alpha is from 0 to 10");
        assert_eq!(message("chinchilla", &["E=NaN"]), "--fix E=NaN: E is 0 or more");
        assert_eq!(message("chinchilla", &["E=1", "E=2"]), "--fix E=2: E is fixed twice");
        assert!(message("chinchilla", &["alpha=beta", "beta=alpha"]).contains("only tied to itself"));
        assert!(message("chinchilla", &["E=A"]).contains("not of one kind"));
        assert_eq!(
            message("power", &["A=1", "alpha=0.5"]),
            "--fix leaves power nothing to fit: A, alpha are all fixed"
        );
        assert!(Fix::parse("E").is_err() && Fix::parse("=1").is_err() && Fix::parse("E=").is_err());
    }
}

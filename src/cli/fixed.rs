//! `--fix`: parameters of the law that are given a value or held equal to others.

use clap::Args as ClapArgs;

use crate::error::{Error, Result};
use crate::fit::Method;
use crate::fit::laws::Law;
use crate::fit::laws::fixed::{Fix, restricted};

#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Fixed {
    /// Give a parameter of the law a value, or hold it equal to another, in all curves: E=1.6, alpha=beta; repeatable
    #[arg(long, value_name = "NAME=VALUE|NAME", value_parser = Fix::parse)]
    pub fix: Vec<Fix>,
}

impl Fixed {
    /// The law with what is fixed of it.
    ///
    /// # Errors
    /// A method that is no single law; what `restricted` refuses.
    pub fn law(&self, method: Method, name: &str, otherwise: &'static dyn Law) -> Result<&'static dyn Law> {
        match (method, self.fix.first()) {
            (Method::Law(law), _) => restricted(law, &self.fix),
            (Method::Auto(_) | Method::IsoFlop(_) | Method::Tuned(_), None) => Ok(otherwise),
            (Method::Auto(_), Some(fix)) => {
                Err(Error::bad_input(format!("--fix {fix}: --law {name} tries laws that have other parameters"))
                    .hint("name the law, as --law power-floor"))
            }
            (Method::IsoFlop(_) | Method::Tuned(_), Some(fix)) => {
                Err(Error::bad_input(format!("--fix {fix}: --law {name} has minima and no parameters to fix"))
                    .hint("a surface has: --law chinchilla"))
            }
        }
    }
}

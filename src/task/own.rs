//! `own`: a task that only scripts know. Its keys are theirs, whatever they are; crossover has no examples of it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::Examples;

pub const ENTRY: Entry =
    Entry::procedural::<Own>("own", "known to your scripts alone, with any keys", &[]).of_any_keys();

#[derive(Default, Serialize, Deserialize)]
pub struct Own {}

impl Source for Own {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn io(&self) -> Io {
        Io::UNKNOWN
    }

    fn splits(&self) -> Splits {
        Splits { train: None, validation: 0, test: 0 }
    }

    fn classes(&self) -> Vec<String> {
        Vec::new()
    }

    fn load(&self, _: &Path, _: u64) -> Result<Examples> {
        Err(Error::bad_input("crossover has no examples of it: your scripts load them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Settings;
    use crate::task;

    #[test]
    fn it_has_whatever_keys_it_is_given_and_no_examples() {
        let given = Settings::from([("path".into(), "/data".into()), ("shuffle".into(), 7.into())]);
        let own = task::resolve("own", &given).unwrap();
        assert_eq!(own.settings, given, "no key of ours is added");
        assert_eq!((task::io(&own).unwrap(), task::classes(&own).unwrap().len()), (Io::UNKNOWN, 0));
        assert_eq!(task::splits(&own).unwrap().train, None);
        assert!(task::examples(&own, 1, Path::new("")).is_err() && task::present::check("own").is_ok());
    }
}

//! A user's own program as a model. A [`Script`] is what a sweep says of one, resolved; how it is spoken to stands in
//! docs/protocol.md. It is known by its command, its keys and the content of its files, all of which a run's id hashes.

pub mod attempt;
pub mod check;
pub mod describe;
pub mod files;
pub mod ladder;
pub mod process;
pub mod protocol;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::run::{Named, Settings};

/// Keys of a `[[model]]` table that are not the script's.
pub const TAKEN: [&str; 9] =
    ["name", "command", "files", "gpus", "describe", "scale", "params", "forward_flops", "tolerance"];

/// A PyTorch program that keeps to the protocol.
pub const EXAMPLE: &str = include_str!("script/example.py");

/// One size of a script, as a run has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub declared: Declared,
    /// Hash of what is in its files.
    pub hash: String,
    /// Its own keys.
    pub keys: Settings,
}

/// What a sweep says of a script beside its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Program and arguments; no shell reads them.
    pub command: Vec<String>,
    /// Which files are its own, as patterns; none: those that its command names and the Python modules beside them.
    pub files: Option<Vec<String>>,
    /// Of one run.
    pub gpus: u64,
}

/// How its files stand in a run's config.
#[derive(Serialize, Deserialize)]
struct Files {
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Vec<String>>,
}

impl Script {
    /// As a model of a run.
    pub fn named(&self) -> Named {
        let Declared { command, files, gpus } = &self.declared;
        let files = Files { hash: self.hash.clone(), of: files.clone() };
        let mut settings = self.keys.clone();
        settings.insert("command".into(), command.clone().into());
        settings.insert("files".into(), serde_json::to_value(files).unwrap_or_default());
        settings.insert("gpus".into(), (*gpus).into());
        Named { name: Named::SCRIPT.into(), settings }
    }

    /// # Errors
    /// It is none: another version wrote its config.
    pub fn of(model: &Named) -> Result<Script> {
        #[derive(Deserialize)]
        struct Own {
            command: Vec<String>,
            files: Files,
            gpus: u64,
        }
        let mut keys = model.settings.clone();
        let own = ["command", "files", "gpus"].map(|key| (key.to_owned(), keys.remove(key).unwrap_or_default()));
        let Own { command, files, gpus } = serde_json::from_value(own.into_iter().collect())
            .context(|| format!("a model '{}' that is no script", model.name))?;
        Ok(Script { declared: Declared { command, files: files.of, gpus }, hash: files.hash, keys })
    }
}

impl Declared {
    /// As a person would type it.
    pub fn typed(&self) -> String {
        self.command.iter().map(|word| crate::shell::quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_a_model_and_back() {
        let declared = Declared { command: vec!["python".into(), "a b.py".into()], files: None, gpus: 2 };
        let keys = Settings::from([("width".into(), 8.into())]);
        let script = Script { declared, hash: "00ff".into(), keys };
        let named = script.named();
        assert!(named.is_script());
        assert_eq!(Script::of(&named).unwrap(), script);
        assert_eq!(script.declared.typed(), "python 'a b.py'");
        let other =
            Script { declared: Declared { files: Some(vec!["src/**".into()]), ..script.declared.clone() }, ..script };
        assert_eq!(Script::of(&other.named()).unwrap(), other);
        assert!(Script::of(&Named { name: "vit".into(), settings: Settings::new() }).is_err());
    }
}

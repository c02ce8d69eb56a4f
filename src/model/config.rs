//! What an architecture family says about itself: its keys, its published sizes, its closed-form costs and its scaling
//! rule. One file implements [`Config`]; the registry holds it as an [`Arch`].

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result, nearest};
use crate::model::{Costs, Io, Target, scale};
use crate::run::{Settings, read_with_wholes};

/// A family's config: a serde struct with `deny_unknown_fields, default`, each key documented at its field.
pub trait Config: Serialize + DeserializeOwned + Default + Clone + 'static {
    const NAME: &'static str;
    /// One line for `model list`, with the source.
    const ABOUT: &'static str;
    /// Each key with what it means.
    const KEYS: Keys;
    /// Published models, by name.
    const SIZES: &'static [Size<Self>];
    /// The keys that say how large a model is, as tables show them.
    const SHAPE: &'static [&'static str];
    /// Which shapes are usual, and by whose models: the rule of `ladder`, in words.
    const USUAL: &'static str;

    /// Rules that hold whatever the input.
    fn check(&self) -> Result<()>;

    /// Closed forms. Refuses only what does not fit the input, and may be asked about configs that `check` refuses.
    fn costs(&self, io: Io) -> Result<Costs>;

    /// Sides of the part of the image that one value of the last map sees; none where the family sets no bound.
    fn receptive_field(&self, _: Io) -> Option<[u64; 2]> {
        None
    }

    /// The usual shapes from small to large, none narrower or shallower than the one before. Keys that `held` has stay as
    /// they are in `self`, whatever is usual.
    fn ladder(&self, held: &Settings, io: Io) -> Vec<Self>;

    /// What this base leaves to put the `given` keys on: where keys exclude each other, those given take back what it chose.
    fn giving_way(self, _given: &Settings) -> Self {
        self
    }
}

/// Keys with what they mean, in parts: some families have those of another beside their own.
pub type Keys = &'static [&'static [(&'static str, &'static str)]];

/// A published model.
pub struct Size<C> {
    pub name: &'static str,
    pub source: &'static str,
    pub config: fn() -> C,
}

/// A family in the registry, its config type forgotten.
pub struct Arch {
    pub name: &'static str,
    pub about: &'static str,
    /// Published sizes with their sources.
    pub sizes: fn() -> Vec<(&'static str, &'static str)>,
    /// The keys that say how large a model is.
    pub shape: &'static [&'static str],
    /// Which shapes a size ladder chooses from.
    pub usual: &'static str,
    keys: Keys,
    /// All keys with their defaults.
    pub defaults: fn() -> Result<Settings>,
    pub(super) resolve: fn(Option<&str>, &Settings) -> Result<Settings>,
    pub(super) costs: fn(&Settings, Io) -> Result<Costs>,
    pub(super) receptive_field: fn(&Settings, Io) -> Result<Option<[u64; 2]>>,
    pub(super) scale: fn(&Settings, Target, f64, Io) -> Result<Settings>,
}

impl Arch {
    pub const fn of<C: Config>() -> Self {
        Self {
            name: C::NAME,
            about: C::ABOUT,
            keys: C::KEYS,
            shape: C::SHAPE,
            usual: C::USUAL,
            sizes: || C::SIZES.iter().map(|size| (size.name, size.source)).collect(),
            defaults: || settings(&C::default()),
            resolve: |size, given| {
                let config: C = overlay(base(size)?, given)?;
                let whole = settings(&config)?;
                let of = size.map_or("the default".to_owned(), |size| format!("as {size} has it"));
                let origin = |key: &str| (!given.contains_key(key)).then(|| of.clone());
                config.check().map_err(|error| traced(error, &whole, origin).context(C::NAME))?;
                Ok(whole)
            },
            costs: |given, io| {
                let (config, defaults) = (parse::<C>(given)?, settings(&C::default())?);
                let origin = |key: &str| (given.get(key) == defaults.get(key)).then(|| "the default".to_owned());
                config.costs(io).map_err(|error| traced(error, given, origin).context(C::NAME))
            },
            receptive_field: |given, io| Ok(parse::<C>(given)?.receptive_field(io)),
            scale: |given, target, tolerance, io| settings(&scale::nearest_config::<C>(given, target, tolerance, io)?),
        }
    }

    /// What a key means.
    pub fn meaning(&self, key: &str) -> Option<&'static str> {
        self.keys.iter().copied().flatten().find(|(name, _)| *name == key).map(|(_, meaning)| *meaning)
    }
}

/// These keys as `--set` takes them: `width=64 depths=2,2,2,2`.
pub fn shape_text(keys: &[&str], settings: &Settings) -> String {
    let value = |value: &Value| match value.as_array() {
        Some(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
        None => value.to_string(),
    };
    let shown = keys.iter().filter_map(|key| settings.get(*key).map(|found| format!("{key}={}", value(found))));
    shown.collect::<Vec<_>>().join(" ")
}

/// The config that these settings spell, checked; keys not given have their defaults.
pub fn parse<C: Config>(given: &Settings) -> Result<C> {
    let config: C = overlay(C::default(), given)?;
    config.check().map_err(|error| error.context(C::NAME))?;
    Ok(config)
}

fn base<C: Config>(size: Option<&str>) -> Result<C> {
    let Some(name) = size else { return Ok(C::default()) };
    let sizes = || C::SIZES.iter().map(|size| size.name);
    match C::SIZES.iter().find(|size| size.name == name) {
        Some(size) => Ok((size.config)()),
        None => {
            let error = Error::bad_input(format!("{} has no size '{name}'", C::NAME));
            Err(match nearest(name, sizes()) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None if C::SIZES.is_empty() => error.hint("it has no named sizes: give its keys, or a params target"),
                None => error.hint(format!("its sizes are {}", sizes().collect::<Vec<_>>().join(", "))),
            })
        }
    }
}

/// `given` keys on top of `base`, not yet checked. A single value stands for a list of one.
pub(super) fn overlay<C: Config>(base: C, given: &Settings) -> Result<C> {
    let whole = settings(&base.giving_way(given))?;
    if let Some(key) = given.keys().find(|key| !whole.contains_key(*key)) {
        return Err(unknown_key(C::NAME, key, &whole));
    }
    let mut merged = whole.clone();
    for (key, value) in given {
        let value = match (&whole[key], value) {
            (Value::Array(_), Value::Array(_)) | (_, Value::Object(_)) => value.clone(),
            (Value::Array(_), single) => Value::Array(vec![single.clone()]),
            _ => value.clone(),
        };
        bounded(key, &value).map_err(|error| error.context(C::NAME))?;
        // Key by key, so that an error can name its key.
        let with = |value: &Value| {
            let mut alone = whole.clone();
            alone.insert(key.clone(), value.clone());
            from_settings::<C>(&alone).map(|_| value.clone())
        };
        let read = read_with_wholes(&value, with).map_err(|error| {
            let refused = Error::bad_input(format!("{}: {key} = {value}: {error}", C::NAME));
            match (value.as_array(), &whole[key]) {
                (Some(_), Value::Number(_)) => refused.hint(format!(
                    "a [[model]] has one {key}: several are several [[model]] tables, each with a name, or params = [1e5, 1e6]"
                )),
                _ => refused.hint(format!("the default is {key} = {}", whole[key])),
            }
        })?;
        merged.insert(key.clone(), read);
    }
    from_settings(&merged).map_err(|error| Error::bad_input(format!("{}: {error}", C::NAME)))
}

/// Beyond these no cost could be counted, let alone paid.
const LARGEST: f64 = 1048576.0;
const DEEPEST: f64 = 4096.0;

/// Refuses numbers that no model has.
fn bounded(key: &str, value: &Value) -> Result<()> {
    let most = if ["depth", "depths", "blocks", "layers_per_block"].contains(&key) { DEEPEST } else { LARGEST };
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    match values.iter().find(|value| value.as_f64().is_some_and(|number| number.abs() > most)) {
        Some(beyond) => Err(refusal(key, beyond, &format!("must be at most {most}"), &format!("{key} = {most}"))),
        None => Ok(()),
    }
}

fn unknown_key(arch: &str, key: &str, known: &Settings) -> Error {
    let error = Error::bad_input(format!("{arch} has no key '{key}'"));
    match nearest(key, known.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint(format!("its keys are {}", known.keys().cloned().collect::<Vec<_>>().join(", "))),
    }
}

fn from_settings<C: Config>(settings: &Settings) -> serde_json::Result<C> {
    let map = settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(map))
}

/// The canonical full settings of a config.
pub(super) fn settings<C: Config>(config: &C) -> Result<Settings> {
    match serde_json::to_value(config) {
        Ok(Value::Object(map)) => Ok(map.into_iter().collect()),
        Ok(_) => Err(Error::failed(format!("{}: a config must be a table", C::NAME))),
        Err(error) => Err(Error::failed(format!("{}: {error}", C::NAME))),
    }
}

/// Refuses a value that breaks its rule: `KEY = VALUE: RULE`.
pub(super) fn rule(holds: bool, key: &str, value: impl std::fmt::Display, rule: &str, hint: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(refusal(key, value, rule, hint)) }
}

/// The error with where each `KEY = VALUE` in it came from that nobody wrote.
pub(super) fn traced(mut error: Error, whole: &Settings, origin: impl Fn(&str) -> Option<String>) -> Error {
    let in_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.');
    for (key, value) in whole {
        let Some(origin) = origin(key) else { continue };
        let pair = match value {
            Value::String(text) => format!("{key} = {text}"),
            other => format!("{key} = {other}"),
        };
        let is_whole = |at: &usize| {
            !error.message[..*at].ends_with(in_name) && !error.message[at + pair.len()..].starts_with(in_name)
        };
        let found = error.message.match_indices(&pair).map(|(at, _)| at).find(is_whole);
        if let Some(at) = found {
            error.message.insert_str(at + pair.len(), &format!(" ({origin})"));
        }
    }
    error
}

/// That a value breaks its rule.
pub(super) fn refusal(key: &str, value: impl std::fmt::Display, rule: &str, hint: &str) -> Error {
    Error::bad_input(format!("{key} = {value}: {rule}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use crate::model::{Io, Target, arch, costs, names, resolve, scale_to};
    use crate::run::Settings;

    fn settings(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_key_has_a_meaning_and_every_meaning_a_key() {
        for name in names() {
            let arch = arch(name).unwrap();
            let keys = (arch.defaults)().unwrap();
            assert!(keys.keys().all(|key| arch.meaning(key).is_some()), "{name} {keys:?}");
            let meanings = arch.keys.iter().copied().flatten();
            assert!(meanings.into_iter().all(|(key, _)| keys.contains_key(*key)), "{name}");
        }
    }

    #[test]
    fn an_error_says_which_numbers_nobody_wrote() {
        let said = |size, given: &str| resolve("vit", size, &settings(given)).unwrap_err().message;
        assert_eq!(said(None, r#"{"heads": 0}"#), "vit: heads = 0: must be at least 1");
        assert_eq!(said(None, r#"{"heads": 5}"#), "vit: heads = 5: must divide width = 64 (the default)");
        assert_eq!(said(None, r#"{"width": 30}"#), "vit: heads = 4 (the default): must divide width = 30");
        assert_eq!(said(None, r#"{"width": 30, "heads": 4}"#), "vit: heads = 4: must divide width = 30");
        assert_eq!(said(Some("b16"), r#"{"heads": 5}"#), "vit: heads = 5: must divide width = 768 (as b16 has it)");
        let io = |side| Io { channels: 1, height: side, width: side, classes: 10 };
        let wrong = scale_to("vit", &Settings::new(), Target::Params(1e6), 0.1, io(30)).unwrap_err().message;
        assert_eq!(wrong, "vit: patch = 4 (the default): must divide the 30x30 image");
        let whole = resolve("vit", None, &Settings::new()).unwrap();
        let misfit = costs(&whole, io(30)).unwrap_err().message;
        assert_eq!(misfit, "vit: patch = 4 (the default): must divide the 30x30 image");
    }

    #[test]
    fn the_largest_models_are_counted_and_larger_numbers_refused() {
        let io = Io { channels: 3, height: 224, width: 224, classes: 1000 };
        for name in names() {
            for (key, value) in (arch(name).unwrap().defaults)().unwrap() {
                let with = |value: u64| resolve(name, None, &settings(&format!("{{\"{key}\": {value}}}")));
                if value.is_number() || value.is_array() {
                    let error = with(u64::MAX).unwrap_err().to_string();
                    assert!(error.contains(&format!("{key} = {}: must be at most", u64::MAX)), "{error}");
                    // Many keys have a lower bound of their own, or go with others.
                    let _ = with(4096).and_then(|model| costs(&model, io));
                    let _ = with(1 << 20).and_then(|model| costs(&model, io));
                }
            }
        }
        assert_eq!(
            resolve("vit", None, &settings(r#"{"width": 1e2, "heads": 4.0}"#)).unwrap(),
            resolve("vit", None, &settings(r#"{"width": 100}"#)).unwrap()
        );
    }

    #[test]
    fn a_ladder_holds_keys_that_do_not_go_with_the_default_width() {
        let io = Io { channels: 1, height: 28, width: 28, classes: 10 };
        let found = scale_to("vit", &settings(r#"{"heads": 3}"#), Target::Params(5e4), 0.1, io).unwrap();
        assert_eq!((&found.settings["heads"], found.settings["width"].as_u64().unwrap() % 3), (&3.into(), 0));
        let refused = scale_to("vit", &settings(r#"{"patch": 0}"#), Target::Params(5e4), 0.05, io).unwrap_err();
        assert_eq!(refused.to_string(), "vit: patch = 0: must be at least 1");
    }
}

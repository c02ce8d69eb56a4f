//! The keys of an arch or a task. Thousands of runs of a sweep have the same, so they share them until one is changed.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

type Map = BTreeMap<String, Value>;

/// Every key of an arch or a task, defaults filled in, in key order; so equal configs are equal text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(Arc<Map>);

impl Settings {
    pub fn new() -> Self {
        Self::default()
    }

    /// Equal for those that share their keys, as long as one of them is there.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Deref for Settings {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.0
    }
}

impl DerefMut for Settings {
    fn deref_mut(&mut self) -> &mut Map {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Map> for Settings {
    fn from(map: Map) -> Self {
        Self(Arc::new(map))
    }
}

impl<const N: usize> From<[(String, Value); N]> for Settings {
    fn from(entries: [(String, Value); N]) -> Self {
        Map::from(entries).into()
    }
}

impl FromIterator<(String, Value)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Map::from_iter(entries).into()
    }
}

impl Extend<(String, Value)> for Settings {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, entries: I) {
        (**self).extend(entries);
    }
}

impl IntoIterator for Settings {
    type Item = (String, Value);
    type IntoIter = btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a Settings {
    type Item = (&'a String, &'a Value);
    type IntoIter = btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_shared_until_one_is_changed() {
        let all = Settings::from([("width".into(), 8.into())]);
        let mut other = all.clone();
        assert_eq!(all.address(), other.address());
        other.insert("depth".into(), 2.into());
        assert_ne!(all.address(), other.address());
        assert_eq!((all.len(), other.len()), (1, 2));
        assert_eq!(serde_json::to_string(&other).unwrap(), r#"{"depth":2,"width":8}"#);
    }
}

//! Parts of a request that only some versions of the engine's API support. Other versions drop them
//! silently or refuse them.

use crate::engine::Version;
use serde_json::{Map as JsonMap, Value as Json};

/// Minor versions of the API (1.N) that support a part of a request, both inclusive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApiRange {
    first: u32,
    last: u32,
}

impl ApiRange {
    /// All versions.
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: u32::MAX,
    };

    /// Returns the range that begins with this version.
    pub(crate) const fn since(first: u32) -> Self {
        Self { first, ..Self::ALL }
    }

    /// Returns the range that ends with this version.
    pub(crate) const fn until(last: u32) -> Self {
        Self { last, ..Self::ALL }
    }

    /// Returns the part of the range up to this version.
    pub(crate) const fn and_until(self, last: u32) -> Self {
        Self { last, ..self }
    }

    pub(crate) fn is_all(self) -> bool {
        self == Self::ALL
    }

    /// Returns true if a request with the value needs one of these versions. Versions that ignore a
    /// part accept an empty one, as in a copied inspection.
    pub(crate) fn is_limit_for(self, value: &Json) -> bool {
        let is_empty = value.is_null() || *value == 0 || *value == false || *value == "";
        let is_ignored = self.last < u32::MAX && is_empty;
        !self.is_all() && !is_ignored
    }

    fn contains(self, version: Version) -> bool {
        (Version(1, self.first)..=Version(1, self.last)).contains(&version)
    }
}

impl std::fmt::Display for ApiRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.first, self.last) {
            (0, u32::MAX) => Ok(()),
            (first, u32::MAX) => write!(f, "1.{first} or newer"),
            (0, last) => write!(f, "up to 1.{last}"),
            (first, last) => write!(f, "1.{first} to 1.{last}"),
        }
    }
}

/// A part of a request, with the versions of the API that support it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Keys that lead to it.
    pub path: Vec<String>,
    /// Versions that support it.
    pub versions: ApiRange,
}

impl Gate {
    /// Returns why an engine that is called with this version does not support the part; `None` if
    /// it does.
    pub(crate) fn refusal(&self, version: Version) -> Option<String> {
        if self.versions.contains(version) {
            return None;
        }
        let argument = self.path.get(2..).unwrap_or_default().join(".");
        let ApiRange { first, last } = self.versions;
        Some(if version < Version(1, first) {
            format!(
                "`{argument}` requires engine API 1.{first} or newer; this engine is called with {version}"
            )
        } else {
            format!(
                "`{argument}` has no effect since engine API 1.{}, and this engine is called with {version}: remove it",
                last + 1
            )
        })
    }
}

/// Returns the given parts that a request contains. A `*` stands for every item or entry.
#[must_use]
pub(crate) fn gates(body: &JsonMap<String, Json>, parts: &[(&str, ApiRange)]) -> Vec<Gate> {
    let body = Json::Object(body.clone());
    let gate = |(path, versions): &(&str, ApiRange)| {
        let steps: Vec<&str> = path.split('.').collect();
        let named = steps.iter().filter(|step| **step != "*");
        let path = ["create", "params"].iter().chain(named);
        has_path(&body, &steps, *versions).then(|| Gate {
            path: path.map(|step| (*step).to_owned()).collect(),
            versions: *versions,
        })
    };
    parts.iter().filter_map(gate).collect()
}

fn has_path(value: &Json, path: &[&str], versions: ApiRange) -> bool {
    let has = |inner: &Json, rest| has_path(inner, rest, versions);
    match (path, value) {
        ([], value) => !value.is_null() && versions.is_limit_for(value),
        (["*", rest @ ..], Json::Array(items)) => items.iter().any(|item| has(item, rest)),
        (["*", rest @ ..], Json::Object(entries)) => entries.values().any(|entry| has(entry, rest)),
        ([step, rest @ ..], value) => value.get(step).is_some_and(|inner| has(inner, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_part_that_versions_ignore_is_accepted() {
        let found = |value: Json, versions| {
            let body = json!({ "HostConfig": { "KernelMemory": value } });
            let body = body.as_object().cloned().unwrap_or_default();
            gates(&body, &[("HostConfig.KernelMemory", versions)]).len()
        };
        assert_eq!(found(json!(0), ApiRange::until(41)), 0);
        assert_eq!(found(json!(1), ApiRange::until(41)), 1);
        assert_eq!(found(json!(0), ApiRange::since(41)), 1);
        assert_eq!(found(Json::Null, ApiRange::since(41)), 0);
    }

    #[test]
    fn part_is_refused_before_its_first_and_after_its_last_version() {
        let refusal = |versions, minor| {
            let path = ["create", "params", "kernel_memory"].map(str::to_owned);
            let gate = Gate {
                path: path.to_vec(),
                versions,
            };
            gate.refusal(Version(1, minor))
        };
        assert_eq!(refusal(ApiRange::since(44), 44), None);
        assert_eq!(
            refusal(ApiRange::since(44), 43).as_deref(),
            Some(
                "`kernel_memory` requires engine API 1.44 or newer; this engine is called with 1.43"
            )
        );
        assert_eq!(refusal(ApiRange::until(41), 41), None);
        assert_eq!(
            refusal(ApiRange::until(41), 52).as_deref(),
            Some(
                "`kernel_memory` has no effect since engine API 1.42, and this engine is called with 1.52: remove it"
            )
        );
    }
}

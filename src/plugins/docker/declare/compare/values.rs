//! Compares values as an engine interprets them.

use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeSet;

/// Placeholder for an unknown value, such as a secret that is not available now. It cannot occur in
/// a blueprint.
pub(crate) const UNKNOWN: &str = "\u{0}unknown\u{0}";

/// Result of a comparison.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Match {
    Same,
    NotShown,
    Differs,
}

pub(crate) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn keys(value: &Json) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key)
}

/// Returns true for empty, zero and false values, which engines may also omit.
pub(crate) fn is_unset(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.iter().all(is_unset),
        Json::Object(entries) => entries.values().all(is_unset),
        Json::Bool(true) => false,
    }
}

pub(crate) fn is_unknown(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(UNKNOWN),
        Json::Array(items) => items.iter().any(is_unknown),
        Json::Object(entries) => entries
            .iter()
            .any(|(key, value)| key.contains(UNKNOWN) || is_unknown(value)),
        _ => false,
    }
}

/// Compares two values; the order of lists does not matter.
pub(crate) fn compare_values(own: &Json, found: &Json) -> Match {
    match (own, found) {
        _ if is_unknown(own) => Match::NotShown,
        _ if own == found || (is_unset(own) && is_unset(found)) => Match::Same,
        (Json::Object(own), Json::Object(found)) => {
            let all: BTreeSet<&String> = own.keys().chain(found.keys()).collect();
            let of = |map: &JsonMap<String, Json>, key: &String| {
                map.get(key).cloned().unwrap_or_default()
            };
            all.into_iter()
                .map(|key| compare_values(&of(own, key), &of(found, key)))
                .max()
                .unwrap_or(Match::Same)
        }
        (Json::Array(own), Json::Array(found)) if own.len() == found.len() => {
            let mut left: Vec<&Json> = found.iter().collect();
            let all_found = own.iter().all(|item| {
                let at = left
                    .iter()
                    .position(|found| compare_values(item, found) == Match::Same);
                at.map(|at| left.remove(at)).is_some()
            });
            if all_found {
                Match::Same
            } else {
                Match::Differs
            }
        }
        (Json::Number(own), Json::Number(found)) if own.as_f64() == found.as_f64() => Match::Same,
        _ => Match::Differs,
    }
}

/// Compares like [`compare_values`], but the order of lists matters.
pub(crate) fn compare_ordered(own: &Json, found: &Json) -> Match {
    let words = |value: &Json| -> Json {
        match value {
            Json::Array(words) if words.iter().all(|word| word == "") => Json::Null,
            other => other.clone(),
        }
    };
    let (own, found) = (words(own), words(found));
    if is_unknown(&own) {
        return Match::NotShown;
    }
    if own == found || (is_unset(&own) && is_unset(&found)) {
        Match::Same
    } else {
        Match::Differs
    }
}

/// Compares two lists of strings as sets, after `spelled` has normalized each string.
pub(crate) fn compare_sets(own: &Json, found: &Json, normalize: impl Fn(&str) -> String) -> Match {
    if is_unknown(own) {
        return Match::NotShown;
    }
    let set = |value: &Json| {
        list(value)
            .map(|item| normalize(text(item)))
            .collect::<BTreeSet<String>>()
    };
    if set(own) == set(found) {
        Match::Same
    } else {
        Match::Differs
    }
}

/// Compares two mappings: all declared entries must match, and others must be ignored ones.
pub(crate) fn compare_entries(own: &Json, found: &Json, ignored: impl Fn(&str) -> bool) -> Match {
    let extra = keys(found).any(|name| own.get(name).is_none() && !ignored(name));
    if extra && !is_unknown(own) {
        return Match::Differs;
    }
    let of = |name: &String| match found.get(name) {
        // An entry with an empty value is an entry, too.
        None if !is_unknown(&own[name.as_str()]) => Match::Differs,
        found => compare_values(&own[name.as_str()], found.unwrap_or_default()),
    };
    keys(own).map(of).max().unwrap_or(Match::Same)
}

/// Compares only the declared entries, because engines add others.
pub(crate) fn compare_declared(own: &Json, found: &Json) -> Match {
    match (own, found) {
        (Json::Object(own), Json::Object(_)) => own
            .iter()
            .map(|(key, value)| compare_declared(value, &found[key.as_str()]))
            .max()
            .unwrap_or(Match::Same),
        (Json::Array(own), Json::Array(found)) if own.len() <= found.len() => own
            .iter()
            .zip(found)
            .map(|(own, found)| compare_declared(own, found))
            .max()
            .unwrap_or(Match::Same),
        _ => compare_values(own, found),
    }
}

/// Compares like [`compare_values`], but treats the default values in `usual` as undeclared.
pub(crate) fn compare_with_default(own: &Json, found: &Json, defaults: &[&str]) -> Match {
    let plain = |value: &Json| {
        if defaults.contains(&text(value)) {
            Json::Null
        } else {
            value.clone()
        }
    };
    if is_unset(&plain(own)) {
        compare_values(&Json::Null, &plain(found))
    } else {
        compare_values(own, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_values_are_equal() {
        for (own, found) in [
            (json!(null), json!([])),
            (json!(0), json!(null)),
            (json!({"a": ""}), json!({})),
            (json!(false), json!(null)),
        ] {
            assert_eq!(compare_values(&own, &found), Match::Same, "{own} {found}");
        }
        assert_eq!(compare_values(&json!(true), &json!(null)), Match::Differs);
        assert_eq!(
            compare_values(&json!({"a": 1}), &json!({"a": 1, "b": 2})),
            Match::Differs
        );
        assert_eq!(compare_values(&json!([1, 2]), &json!([2, 1])), Match::Same);
        assert_eq!(
            compare_ordered(&json!([1, 2]), &json!([2, 1])),
            Match::Differs
        );
        assert_eq!(
            compare_values(&json!([1, 1]), &json!([1, 2])),
            Match::Differs,
            "each item matches only once"
        );
    }

    #[test]
    fn unknown_values_are_not_compared() {
        let late = json!(format!("a{UNKNOWN}"));
        assert_eq!(compare_values(&late, &json!("ab")), Match::NotShown);
        assert_eq!(
            compare_values(&json!({"x": late}), &json!({"x": "ab"})),
            Match::NotShown
        );
        assert_eq!(
            compare_sets(&json!([late]), &json!([]), str::to_owned),
            Match::NotShown
        );
    }

    #[test]
    fn entries_are_compared_except_ignored_ones() {
        let found = json!({"a": "1", "own": "x"});
        assert_eq!(
            compare_entries(&json!({"a": "1"}), &found, |name| name == "own"),
            Match::Same
        );
        assert_eq!(
            compare_entries(&json!({"a": "1"}), &found, |_| false),
            Match::Differs
        );
        assert_eq!(
            compare_entries(&json!({"a": "2"}), &found, |name| name == "own"),
            Match::Differs
        );
        assert_eq!(
            compare_declared(
                &json!([{"Subnet": "10.0.0.0/8"}]),
                &json!([{"Subnet": "10.0.0.0/8", "Gateway": "10.0.0.1"}])
            ),
            Match::Same
        );
    }
}

//! Parsing of journal rows and snapshots.
//!
//! Rows of format 3 are parsed strictly. If data is missing after a row is parsed and serialized
//! again, this dockctl does not know that data and refuses to work on top of it.

use super::format2;
use crate::record::Record;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

/// The reason why a row cannot be parsed.
#[derive(Debug)]
pub(super) enum RowError {
    /// The row is damaged.
    Damaged(serde_json::Error),
    /// Another version of dockctl wrote data that this one does not know; contains a description of
    /// it.
    Unknown(String),
}

/// Parses a row or a snapshot.
pub(super) fn read<T: DeserializeOwned + Serialize>(
    text: &str,
    is_strict: bool,
) -> Result<T, RowError> {
    let read = if !is_strict && format2::may_need_upgrade(text) {
        serde_json::from_str(text)
            .map(format2::upgrade)
            .and_then(serde_json::from_value)
    } else {
        serde_json::from_str(text)
    };
    if !is_strict {
        return read.map_err(RowError::Damaged);
    }
    let known: T = read.map_err(|error| unknown_or_damaged(text, error))?;
    match first_lost_key(text, &known) {
        Some(path) => Err(RowError::Unknown(format!("the field `{path}`"))),
        None => Ok(known),
    }
}

/// Key of the version that wrote a snapshot. Snapshots of format 2 do not have it.
const VERSION: &str = "dockctl";

/// Serializes a snapshot with the version of this dockctl.
pub(super) fn with_version(record: &Record) -> serde_json::Result<String> {
    let mut json = serde_json::to_value(record)?;
    json[VERSION] = env!("CARGO_PKG_VERSION").into();
    Ok(json.to_string())
}

/// Returns the version that wrote a snapshot, if present, and the snapshot without it.
pub(super) fn split_version(text: &str) -> (Option<String>, String) {
    let Ok(Json::Object(mut json)) = serde_json::from_str(text) else {
        return (None, text.to_owned());
    };
    match json.shift_remove(VERSION) {
        Some(Json::String(version)) => (Some(version), Json::Object(json).to_string()),
        _ => (None, text.to_owned()),
    }
}

/// Returns the version that wrote a row: that of the execution that contains the row, or else of
/// the next execution.
pub(super) fn version_of<'t>(rows: impl Iterator<Item = &'t str>, at: usize) -> Option<String> {
    let rows: Vec<Json> = rows
        .map(|row| serde_json::from_str(row).unwrap_or_default())
        .collect();
    let begins = |row: &&Json| row["event"] == "execution_started";
    let bounds = |row: &&Json| begins(row) || row["event"] == "execution_finished";
    let (before, after) = rows.split_at(at.min(rows.len()));
    let own = || before.iter().rev().find(bounds).filter(begins);
    let this = after.first().filter(begins);
    let found = this.or_else(own).or_else(|| after.iter().find(begins));
    found.and_then(|row| row["dockctl"].as_str().map(str::to_owned))
}

/// Valid JSON is not damage: another version wrote it.
fn unknown_or_damaged(text: &str, error: serde_json::Error) -> RowError {
    let Ok(json) = serde_json::from_str::<Json>(text) else {
        return RowError::Damaged(error);
    };
    let message = error.to_string();
    let what = message.split(", expected").next().unwrap_or_default();
    let event = json["event"]
        .as_str()
        .filter(|event| what.contains(&format!("`{event}`")));
    let other = || match what {
        what if what.starts_with("unknown ") => what.to_owned(),
        what => format!("a value of an unexpected type ({what})"),
    };
    RowError::Unknown(event.map_or_else(other, |event| format!("the event `{event}`")))
}

/// Returns the path of the first key that is lost when a parsed text is serialized again.
fn first_lost_key<T: Serialize>(text: &str, known: &T) -> Option<String> {
    // The common case: the text is identical.
    let again = serde_json::to_string(known).unwrap_or_default();
    if again == text {
        return None;
    }
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_default();
    missing(&parsed(text), &parsed(&again))
}

/// Returns the path of a lost value, with its first key if it is a mapping.
fn with_first_key(step: String, lost: &Json) -> String {
    let entries = lost.as_object();
    match entries.and_then(|entries| entries.keys().next()) {
        Some(key) => format!("{step}.{key}"),
        None => step,
    }
}

fn missing(before: &Json, after: &Json) -> Option<String> {
    let inside = |step: String, before: &Json, after: Option<&Json>| match after {
        None => Some(with_first_key(step, before)),
        Some(after) => missing(before, after).map(|path| format!("{step}.{path}")),
    };
    match before {
        Json::Object(entries) => entries
            .iter()
            .find_map(|(key, value)| inside(key.clone(), value, after.get(key))),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| inside(at.to_string(), item, after.get(at))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Entry;

    fn parse_error(text: &str, is_strict: bool) -> Result<Entry, String> {
        read(text, is_strict).map_err(|unread| match unread {
            RowError::Damaged(_) => "damaged".to_owned(),
            RowError::Unknown(what) => what,
        })
    }

    #[test]
    fn row_has_the_version_of_its_execution() {
        let rows = [
            r#"{"event":"defined"}"#,
            r#"{"event":"execution_started","dockctl":"1.0.0","mood":"good"}"#,
            r#"{"event":"stage_adopted"}"#,
            r#"{"event":"execution_finished"}"#,
            r#"{"event":"defined"}"#,
            r#"{"event":"execution_started","dockctl":"2.0.0"}"#,
            r#"{"event":"execution_finished"}"#,
            r#"{"event":"defined"}"#,
        ];
        let versions: Vec<Option<String>> = (0..rows.len())
            .map(|at| version_of(rows.iter().copied(), at))
            .collect();
        let versions: Vec<&str> = versions
            .iter()
            .map(|it| it.as_deref().unwrap_or("-"))
            .collect();
        assert_eq!(
            versions,
            [
                "1.0.0", "1.0.0", "1.0.0", "1.0.0", "2.0.0", "2.0.0", "2.0.0", "-"
            ]
        );
    }

    #[test]
    fn snapshot_contains_the_version_that_wrote_it() {
        let text = with_version(&Record::default()).unwrap();
        let (version, json) = split_version(&text);
        assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert!(read::<Record>(&json, true).is_ok(), "{json}");
        assert_eq!(split_version("{}"), (None, "{}".to_owned()));
    }

    #[test]
    fn unknown_data_is_not_reported_as_damage() {
        for (text, strict, lenient) in [
            (
                r#"{"at":1,"event":"teleported","where":"x"}"#,
                "the event `teleported`",
                "damaged",
            ),
            (
                r#"{"at":1,"event":"task_interrupted","task":0,"mood":"good"}"#,
                "the field `mood`",
                "",
            ),
            (
                r#"{"at":1,"event":"execution_finished","outcome":"paused"}"#,
                "unknown variant `paused`",
                "damaged",
            ),
            (
                r#"{"at":1,"event":"stage_adopted","stage":{"tasks":[],"color":{"r":1}}}"#,
                "the field `stage.color.r`",
                "",
            ),
            (
                r#"{"at":1,"event":"execution_started","execution":"x","workflow":"stop","parameters":{"delta":2}}"#,
                "the field `parameters.delta`",
                "",
            ),
            (
                r#"{"at":1,"event":"task_interrupted","task":"first"}"#,
                "a value of an unexpected type (invalid type: string \"first\")",
                "damaged",
            ),
            (r#"{"at":1,"event":"task_int"#, "damaged", "damaged"),
            (r#"{"at":1,"event":"task_interrupted","task":0}"#, "", ""),
        ] {
            assert_eq!(
                parse_error(text, true).err().unwrap_or_default(),
                strict,
                "{text}"
            );
            assert_eq!(
                parse_error(text, false).err().unwrap_or_default(),
                lenient,
                "{text}"
            );
        }
    }
}

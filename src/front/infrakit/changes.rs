//! What a commit of a specification does, in the words of InfraKit.

use super::{Allocation, GroupSpec, config_hash::config_hash};
use thiserror::Error;

/// The present instances of a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Present {
    /// Instances with the configuration that is committed.
    pub current: usize,
    /// Instances with another configuration.
    pub outdated: usize,
}

/// A commit that is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CommitError {
    /// The logical IDs differ.
    #[error("Logical ID changes to a quorum is not currently supported")]
    LogicalIds,
}

/// Returns the description of a commit. `committed` is the specification until now, if the group is
/// known.
///
/// # Errors
///
/// If the logical IDs differ.
pub fn describe(
    committed: Option<&GroupSpec>,
    new: &GroupSpec,
    present: Present,
) -> Result<String, CommitError> {
    let Some(committed) = committed else {
        return Ok(format!("Managing {} instances", new.allocation.size()));
    };
    let (before, after) = (committed.allocation.size(), new.allocation.size());
    match (&committed.allocation, &new.allocation) {
        (Allocation::Size(_), Allocation::Size(_)) => {}
        (Allocation::LogicalIds(before), Allocation::LogicalIds(after))
            if is_same_set(before, after) => {}
        _ => return Err(CommitError::LogicalIds),
    }
    let outdated = present.outdated;
    Ok(match after.cmp(&before) {
        std::cmp::Ordering::Equal if outdated > 0 => rolling(outdated),
        std::cmp::Ordering::Equal if new.config_hash() == committed.config_hash() => {
            "Noop".to_owned()
        }
        std::cmp::Ordering::Equal => {
            "Adjusting the instance configuration, no restarts necessary".to_owned()
        }
        std::cmp::Ordering::Less => fewer(before, after, present.current),
        std::cmp::Ordering::Greater => more(before, after, outdated),
    })
}

fn is_same_set(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|id| other.contains(id))
}

fn rolling(number: usize) -> String {
    format!("Performing a rolling update on {number} instances")
}

fn fewer(before: usize, after: usize, current: usize) -> String {
    let less = before - after;
    let reduced = format!("Terminating {less} instances to reduce the group size to {after}");
    match after.saturating_sub(current) {
        0 => reduced,
        rolled => format!("{reduced}, then performing a rolling update on {rolled} instances"),
    }
}

fn more(before: usize, after: usize, outdated: usize) -> String {
    let added = format!(
        "{} instances to increase the group size to {after}",
        after - before
    );
    match outdated {
        0 => format!("Adding {added}"),
        _ => format!("{}, then adding {added}", rolling(outdated)),
    }
}

impl GroupSpec {
    /// Returns the hash that identifies the configuration of the instances.
    #[must_use]
    pub fn config_hash(&self) -> String {
        config_hash(&self.instance, &self.flavor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(size: usize, image: &str) -> GroupSpec {
        GroupSpec {
            id: "g".to_owned(),
            allocation: Allocation::Size(size),
            instance: json!({ "Plugin": "docker", "Properties": { "Config": { "Image": image } } }),
            flavor: json!({ "Plugin": "vanilla", "Properties": {} }),
            updating: None,
        }
    }

    fn quorum(ids: &[&str], image: &str) -> GroupSpec {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        GroupSpec {
            allocation: Allocation::LogicalIds(ids),
            ..spec(0, image)
        }
    }

    #[test]
    fn commits_are_described_in_the_words_of_the_original() {
        let present = |current, outdated| Present { current, outdated };
        for (before, after, present, text) in [
            (None, spec(3, "a"), present(0, 0), "Managing 3 instances"),
            (Some(spec(1, "a")), spec(1, "a"), present(1, 0), "Noop"),
            (
                Some(spec(1, "a")),
                spec(1, "b"),
                present(0, 0),
                "Adjusting the instance configuration, no restarts necessary",
            ),
            (
                Some(spec(3, "a")),
                spec(3, "b"),
                present(0, 3),
                "Performing a rolling update on 3 instances",
            ),
            (
                Some(spec(3, "a")),
                spec(1, "a"),
                present(3, 0),
                "Terminating 2 instances to reduce the group size to 1",
            ),
            (
                Some(spec(3, "a")),
                spec(2, "b"),
                present(0, 3),
                "Terminating 1 instances to reduce the group size to 2, then performing a rolling update on 2 instances",
            ),
            (
                Some(spec(1, "a")),
                spec(3, "a"),
                present(1, 0),
                "Adding 2 instances to increase the group size to 3",
            ),
            (
                Some(spec(1, "a")),
                spec(3, "b"),
                present(0, 1),
                "Performing a rolling update on 1 instances, then adding 2 instances to increase the group size to 3",
            ),
            (
                Some(quorum(&["a", "b"], "a")),
                quorum(&["b", "a"], "b"),
                present(0, 2),
                "Performing a rolling update on 2 instances",
            ),
        ] {
            let described = describe(before.as_ref(), &after, present);
            assert_eq!(described.as_deref(), Ok(text));
        }
    }

    #[test]
    fn logical_ids_cannot_change() {
        let committed = quorum(&["a", "b"], "a");
        for new in [quorum(&["a", "c"], "a"), quorum(&["a"], "a"), spec(2, "a")] {
            let described = describe(Some(&committed), &new, Present::default());
            assert_eq!(described, Err(CommitError::LogicalIds));
        }
    }
}

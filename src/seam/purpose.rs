//! The purpose for which an operation is lowered to steps, and the terms in which plans describe
//! instances.

use super::Step;
use std::{fmt, path::PathBuf};

/// The purpose for which an operation is lowered. Steps are created for their purpose and never
/// rewritten.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// The operation runs as declared.
    Ordinary,
    /// The new object will replace another one, which keeps running until then.
    Successor,
    /// The object is stopped and kept, even if it was adopted.
    Halt,
    /// The deployment is removed, including objects that uninstall normally keeps.
    RemoveAll,
    /// Only objects that some executions created are removed, without exception.
    RollBack {
        /// IDs of the executions.
        executions: &'a [String],
    },
}

/// An input of a step that no engine provides.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// The secret with this name.
    Secret(String),
    /// The text withheld under this digest: of a sensitive input, or from the blueprint itself.
    Withheld(String),
    /// A file.
    File(PathBuf),
    /// A directory.
    Directory(PathBuf),
}

/// The way to change an instance to another definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// No action: only the record changes.
    Nothing,
    /// The object is updated in place.
    Adjust(Box<Step>),
    /// The object is replaced, and kept until the new one works.
    Replace,
    /// The object is deleted and then recreated.
    Recreate,
    /// The change is not possible, for this reason.
    Refused(String),
}

/// The state of an instance relative to its installed state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InstanceStatus {
    /// It is installed and matches its definition.
    UpToDate,
    /// It does not exist.
    Missing,
    /// It exists, but its creation did not finish.
    Unfinished,
    /// It exists and does not run.
    Stopped,
    /// It runs, and its readiness is unknown.
    NotReady,
    /// It exists and has drifted.
    Drifted,
    /// It was created from another definition.
    Outdated,
    /// It depends on an object that is recreated: on its address, ID or link.
    DependencyRecreated,
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpToDate => "it is up to date",
            Self::Missing => "it is missing",
            Self::Unfinished => "its creation did not finish",
            Self::Stopped => "it is not running",
            Self::NotReady => "its readiness is unknown",
            Self::Drifted => "it drifted",
            Self::Outdated => "its definition changed",
            Self::DependencyRecreated => "an object that it depends on is recreated",
        })
    }
}

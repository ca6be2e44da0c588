//! Why an operation is lowered, and what planning hears of an instance.

use super::Step;
use std::{fmt, path::PathBuf};

/// Why an operation is lowered: steps are made for their purpose, and never rewritten.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// It is run as it is declared.
    Ordinary,
    /// What is made is to take the place of another object, which works on until then.
    Successor,
    /// The object is to stop and to stay, even if it was adopted.
    Halt,
    /// The deployment goes, and what would outlive it goes too.
    GiveUp,
    /// Only what some executions made is taken back, and nothing of that is spared.
    TakeBack {
        /// Ids of the executions.
        made_by: &'a [String],
    },
}

/// Something that a step needs and that no engine has.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// The secret of this name.
    Secret(String),
    /// The text that was withheld under this digest: of a sensitive input, or what the blueprint
    /// says itself.
    Withheld(String),
    /// A file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

/// What it takes to make an instance what another definition says.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing: what changed is only known here.
    Nothing,
    /// The object is changed as it stands.
    Adjust(Box<Step>),
    /// Another object takes its place, and it stays until that works.
    Replace,
    /// It is taken down and made anew.
    Remake,
    /// It cannot be done, for this reason.
    Refused(String),
}

/// How far an instance is from being installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is there as wanted.
    UpToDate,
    /// Nothing of it is there.
    Absent,
    /// It is there, and creating it came to no end.
    Unfinished,
    /// It is there and does not run.
    Stopped,
    /// It runs, and nobody knows yet whether it is ready.
    NotReady,
    /// It is there, and somebody changed it.
    Changed,
    /// It was made from another definition.
    Outdated,
    /// It holds on to an object that is made anew: an address, an id, a link.
    Bound,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpToDate => "it is up to date",
            Self::Absent => "it is missing",
            Self::Unfinished => "creating it was not finished",
            Self::Stopped => "it is not running",
            Self::NotReady => "it is not known to be ready",
            Self::Changed => "somebody changed it",
            Self::Outdated => "its definition changed",
            Self::Bound => "what it is bound to is made anew",
        })
    }
}

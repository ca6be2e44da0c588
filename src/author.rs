//! Who makes objects.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Who makes objects, and the key that seals them.
#[derive(Clone, Debug)]
pub struct Author {
    /// The key of the state directory.
    pub key: Vec<u8>,
    /// What a label tells others.
    pub name: AuthorName,
}

/// Who made an object, as its label says. Nothing proves it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct AuthorName {
    /// Login name.
    pub user: String,
    /// Name of the machine.
    pub host: String,
    /// The state directory.
    pub state_dir: PathBuf,
}

impl AuthorName {
    /// The user of this process, on this machine.
    #[must_use]
    pub fn this(user: String, state_dir: &Path) -> Self {
        let machine = rustix::system::uname();
        let host = machine.nodename().to_string_lossy().into_owned();
        Self {
            user,
            host,
            state_dir: state_dir.to_owned(),
        }
    }
}

impl fmt::Display for AuthorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{}, state directory {}",
            self.user,
            self.host,
            self.state_dir.display()
        )
    }
}

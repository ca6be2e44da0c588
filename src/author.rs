//! The creator of objects.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The creator of objects, with the key for its seals.
#[derive(Clone, Debug)]
pub struct Author {
    /// The key of the state directory.
    pub key: Vec<u8>,
    /// Name that labels show to other users.
    pub name: AuthorName,
}

/// The creator of an object according to its label: an unproven claim.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct AuthorName {
    /// Login name of the user.
    pub user: String,
    /// Hostname of the machine.
    pub host: String,
    /// The state directory.
    pub state_dir: PathBuf,
}

impl AuthorName {
    /// Returns the name for a user on this machine.
    #[must_use]
    pub fn on_this_machine(user: String, state_dir: &Path) -> Self {
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

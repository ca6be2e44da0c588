//! What a container engine is asked: one engine operation, and the engine it is for.

use super::{
    images,
    params::{self, Fault},
};
use crate::{
    backend::EngineRef,
    model::function::{holds_call, is_call},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;

/// One engine operation. Fields of type [`Json`] may hold functions until the step is bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Step {
    /// Where.
    #[serde(default)]
    pub engine: EngineRef,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Action {
    /// Sees to it that the image is there, and remembers its id.
    Image {
        /// The node's `image`.
        image: Json,
        /// Folder of the blueprint, for a tarball beside it.
        folder: String,
        /// Repository of an imported image that is given none.
        fallback: String,
    },
    /// Creates the container.
    Create(Creation),
    /// Creates the container anew if what start adds differs from what create knew. It never ran.
    Recreate(Creation),
    /// Starts the container if it does not run.
    Start {
        /// The container was there before the deployment.
        adopted: bool,
    },
    /// Waits until the processes run.
    Wait {
        /// Names, each a part of a command line.
        processes: Json,
        /// Seconds between two looks.
        interval: Json,
    },
    /// Stops the container.
    Stop {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Removes the container.
    Remove {
        /// Parameters of `remove_container`.
        params: Json,
    },
    /// Finds a container that exists already, and remembers how it was found.
    Adopt {
        /// Its exact name, or its id.
        name: Json,
    },
    /// Puts an adopted container back into the state it was found in.
    Restore {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Forgets an adopted container.
    Release,
}

/// What a container is created from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Creation {
    /// Its name.
    pub name: Json,
    /// Parameters of `create_container`.
    pub create: Json,
    /// Parameters of `start`, which engines want at creation.
    pub start: Json,
    /// What the declaration comes to before it is bound; its digest is the container's `dockctl.spec`.
    pub declaration: String,
    /// What an uninstall needs when everything else is lost; goes into a label.
    pub record: Json,
}

impl Creation {
    /// The request that the declaration comes to, as far as it is known.
    pub(super) fn converted(&self) -> Result<params::Creation, Vec<Fault>> {
        params::creation(&self.create, &self.start)
    }
}

impl Action {
    /// The property of the node that the action is about, if it is about one.
    pub(in crate::backend) fn property(&self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some("image"),
            Self::Create(_) | Self::Recreate(_) | Self::Adopt { .. } => Some("name"),
            _ => None,
        }
    }

    /// The name that a new object is to have, where it is known.
    pub(in crate::backend) fn created_name(&self) -> Option<&str> {
        match self {
            Self::Create(creation) => creation.name.as_str(),
            _ => None,
        }
    }
}

impl Step {
    /// Takes the record that goes into a label as it was before functions in it were evaluated.
    pub(in crate::backend) fn keep_record(&mut self, unbound: &Self) {
        if let (Action::Create(mine) | Action::Recreate(mine), Action::Create(creation) | Action::Recreate(creation)) =
            (&unbound.action, &mut self.action)
        {
            creation.record = mine.record.clone();
        }
    }

    pub(in crate::backend) fn image_key(&self) -> Option<String> {
        match &self.action {
            Action::Image { image, .. } => Some(format!("{} {}", self.engine, images::key_of(image)?)),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.engine {
            EngineRef::Default => self.action.fmt(f),
            engine @ EngineRef::Client(_) => write!(f, "{} on {engine}", self.action),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { image, .. } => write!(f, "bring image {}", images::shown(image)),
            Self::Create(Creation { name, .. }) => write!(f, "create container {}", shown(name)),
            Self::Recreate(Creation { name, .. }) => write!(f, "create container {} anew if what start adds differs", shown(name)),
            Self::Start { adopted: false, .. } => f.write_str("start container"),
            Self::Start { adopted: true, .. } => f.write_str("start adopted container if it is stopped"),
            Self::Wait { processes, .. } => write!(f, "wait for processes {}", shown(processes)),
            Self::Stop { .. } => f.write_str("stop container"),
            Self::Remove { .. } => f.write_str("remove container"),
            Self::Adopt { name, .. } => write!(f, "adopt container {}", shown(name)),
            Self::Restore { .. } => f.write_str("put adopted container back as it was found"),
            Self::Release => f.write_str("let adopted container go"),
        }
    }
}

/// Whether one of these entries of a mapping, or the mapping itself, is computed later.
pub(super) fn is_late(map: &Json, names: &[&str]) -> bool {
    is_call(map) || names.iter().any(|name| holds_call(&map[name]))
}

/// A value as a plan shows it: text bare, late values as such.
pub(super) fn shown(value: &Json) -> String {
    match value {
        _ if holds_call(value) => "(known after install)".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

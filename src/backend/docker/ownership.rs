//! Whose an object is: the labels claim it, and only a seal or the journal proves it.
//!
//! Anyone can write labels, and a container takes over those of its image. A seal is a keyed digest
//! over the name of the object and the labels that say whose it is: only the state directory that
//! made the object can write it.

use super::{
    container::Container,
    engine::{Engine, label},
    recover,
    replace::lasting_name,
};
use crate::seam::{Call, Failure, ObjectKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
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
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            user,
            host,
            state_dir: state_dir.to_owned(),
        }
    }

    pub(super) fn of(labels: &Json) -> Option<Self> {
        labels[label::AUTHOR]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
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

/// Whether labels name the deployment: its name, and its id if both are known. Objects of older
/// versions carry no id.
pub(super) fn names_deployment(labels: &Json, name: &str, id: &str) -> bool {
    let labeled = labels[label::DEPLOYMENT_ID].as_str().unwrap_or_default();
    labels[label::DEPLOYMENT] == name && (labeled.is_empty() || id.is_empty() || labeled == id)
}

/// Whether labels name the instance of a call.
pub(super) fn names_instance(labels: &Json, call: &Call) -> bool {
    names_deployment(labels, &call.deployment, &call.deployment_id)
        && labels[label::INSTANCE] == call.instance.as_str()
}

/// Whether all labels of dockctl on a container are those of its image.
fn are_of_image(labels: &Json, image: &Json) -> bool {
    let ours = |labels: &Json| -> JsonMap<String, Json> {
        let labels = labels.as_object().into_iter().flatten();
        labels
            .filter(|(name, _)| name.starts_with("dockctl."))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let of_image = ours(image);
    ours(labels)
        .iter()
        .all(|(name, value)| of_image.get(name) == Some(value))
}

impl Engine {
    /// What only this state directory can write on an object of this kind and name. Where there is
    /// an id of the deployment, it is sealed, and the kind too.
    pub(super) fn seal(&self, kind: ObjectKind, name: &str, labels: &Json) -> String {
        let text = |label: &str| labels[label].as_str().unwrap_or_default();
        let whose = [
            label::DEPLOYMENT,
            label::NODE,
            label::INSTANCE,
            label::REQUEST,
        ]
        .map(text)
        .join("\n");
        let (id, kind) = (text(label::DEPLOYMENT_ID), kind.as_str());
        self.digest(&if id.is_empty() {
            format!("{name}\n{whose}")
        } else {
            format!("{name}\n{whose}\n{id}\n{kind}")
        })
    }

    /// Puts the seal on what is to have this name; after every other label.
    pub(super) fn add_seal(&self, body: &mut Json, kind: ObjectKind, name: &str) {
        let seal = self.seal(kind, name, &body["Labels"]);
        body["Labels"][label::SEAL] = seal.into();
    }

    /// Returns true if this state directory made a network or a volume for the instance that its
    /// labels name, or took it over.
    pub(super) fn is_proven_as(&self, found: &Json, kind: ObjectKind) -> bool {
        let labels = &found["Labels"];
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        let id = if kind == ObjectKind::Volume {
            text("Name")
        } else {
            text("Id")
        };
        self.is_taken_over(id)
            || labels[label::SEAL] == self.seal(kind, text("Name"), labels).as_str()
    }

    /// As [`is_proven_as`](Self::is_proven_as), of a container. One that was renamed by hand is not
    /// recognized: only its id tells.
    ///
    /// # Errors
    ///
    /// If the engine does not say what labels its image has.
    pub(super) async fn is_proven(&self, container: &Container) -> Result<bool, Failure> {
        let labels = container.labels();
        let fits = labels[label::SEAL]
            == self
                .seal(
                    ObjectKind::Container,
                    lasting_name(&container.name()),
                    labels,
                )
                .as_str();
        Ok(self.is_taken_over(&container.id())
            || (fits && !self.has_labels_of_image(container).await?))
    }

    /// Whether the user took the object with this id over.
    fn is_taken_over(&self, id: &str) -> bool {
        self.taken_over.borrow().contains(id)
    }

    /// Returns true if the labels of a container say that it was made for a deployment: its record
    /// names this very container, and the labels are not those of its image.
    ///
    /// # Errors
    ///
    /// If the engine does not say what labels its image has.
    pub(super) async fn is_claim(&self, container: &Container) -> Result<bool, Failure> {
        let record = container.label(label::RECORD).unwrap_or_default();
        Ok(recover::is_of(record, lasting_name(&container.name()))
            && !self.has_labels_of_image(container).await?)
    }

    async fn has_labels_of_image(&self, container: &Container) -> Result<bool, Failure> {
        let id = container.text("/Image").unwrap_or_default();
        let known = self.image_labels.borrow().get(id).cloned();
        let of_image = match known {
            Some(known) => known,
            None => self
                .image(id)
                .await?
                .map(|image| image["Config"]["Labels"].clone())
                .unwrap_or_default(),
        };
        self.image_labels
            .borrow_mut()
            .insert(id.to_owned(), of_image.clone());
        Ok(are_of_image(container.labels(), &of_image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_counts_with_the_id_where_both_are_known() {
        let with = |id: &str| json!({ "dockctl.deployment": "shop", "dockctl.deployment-id": id });
        let old = json!({ "dockctl.deployment": "shop" });
        assert!(names_deployment(&with("a"), "shop", "a"));
        assert!(
            !names_deployment(&with("b"), "shop", "a"),
            "another deployment of the same name"
        );
        assert!(
            names_deployment(&old, "shop", "a"),
            "older objects have no id"
        );
        assert!(
            names_deployment(&with("b"), "shop", ""),
            "an older journal has no id"
        );
        assert!(!names_deployment(&old, "store", ""));
        assert!(!names_deployment(&Json::Null, "shop", ""));
    }

    #[test]
    fn labels_of_an_image_are_told_from_those_of_a_container() {
        let image = json!({ "dockctl.deployment": "shop", "dockctl.execution": "1", "other": "x" });
        assert!(are_of_image(&image, &image));
        assert!(are_of_image(
            &json!({ "dockctl.deployment": "shop", "other": "y" }),
            &image
        ));
        assert!(!are_of_image(
            &json!({ "dockctl.deployment": "shop", "dockctl.execution": "2" }),
            &image
        ));
        assert!(
            !are_of_image(&json!({ "dockctl.deployment": "shop" }), &Json::Null),
            "the image is gone"
        );
    }
}

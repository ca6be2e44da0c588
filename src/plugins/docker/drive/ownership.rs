//! Whose an object is: the labels claim it, and only a seal or the journal proves it.
//!
//! Anyone can write labels, and a container takes over those of its image. A seal is a keyed digest
//! over the name of the object and the labels that say whose it is: only the state directory that
//! made the object can write it.

use crate::{
    engine::Kind,
    plugins::docker::{
        declare::{change::lasting_name, container::Container, label},
        drive::engine::Engine,
    },
    seam::Failure,
};

use serde_json::{Map as JsonMap, Value as Json};

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
    pub(crate) fn seal(&self, kind: Kind, name: &str, labels: &Json) -> String {
        self.digest(&label::sealed(kind, name, labels))
    }

    /// Puts the seal on what is to have this name; after every other label.
    pub(crate) fn add_seal(&self, body: &mut Json, kind: Kind, name: &str) {
        let seal = self.seal(kind, name, &body["Labels"]);
        body["Labels"][label::SEAL] = seal.into();
    }

    /// Returns true if this state directory made a network or a volume for the instance that its
    /// labels name, or took it over.
    pub(crate) fn is_proven_as(&self, found: &Json, kind: Kind) -> bool {
        let labels = &found["Labels"];
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        let id = if kind == Kind::Volume {
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
    pub(crate) async fn is_proven(&self, container: &Container) -> Result<bool, Failure> {
        let labels = container.labels();
        let fits = labels[label::SEAL]
            == self
                .seal(Kind::Container, lasting_name(&container.name()), labels)
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
    pub(crate) async fn is_claim(&self, container: &Container) -> Result<bool, Failure> {
        let record = container.label(label::RECORD).unwrap_or_default();
        Ok(label::is_of(record, lasting_name(&container.name()))
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

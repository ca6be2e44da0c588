//! Ownership of objects: labels claim it, and only a seal or the journal proves it.
//!
//! Anyone can write labels, and a container inherits those of its image. A seal is a keyed digest
//! of the name of the object and its ownership labels: only the state directory that created the
//! object can write it.

use crate::{
    engine::Kind,
    plugins::docker::{
        declare::{
            change::base_name,
            container::Container,
            label::{self, names_instance},
        },
        drive::engine::Engine,
    },
    seam::{Call, Failure},
};

use serde_json::{Map as JsonMap, Value as Json};

/// Returns true if all dockctl labels of a container come from its image.
fn come_from_image(labels: &Json, image: &Json) -> bool {
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
    /// Returns the seal of an object of this kind and name. Only this state directory can compute
    /// it. If the deployment has an ID, the seal also covers the ID and the kind.
    pub(crate) fn seal(&self, kind: Kind, name: &str, labels: &Json) -> String {
        self.digest(&label::seal_text(kind, name, labels))
    }

    /// Adds the seal for an object of this name. Call it after all other labels are set.
    pub(crate) fn add_seal(&self, body: &mut Json, kind: Kind, name: &str) {
        let seal = self.seal(kind, name, &body["Labels"]);
        body["Labels"][label::SEAL] = seal.into();
    }

    /// Returns true if this state directory created a network or volume for the instance in its
    /// labels, or took it over.
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

    /// Like [`is_proven_as`](Self::is_proven_as), for a container. One that was renamed by hand is
    /// recognized only by its ID.
    ///
    /// # Errors
    ///
    /// Returns an error if the labels of its image cannot be read.
    pub(crate) async fn is_proven(&self, container: &Container) -> Result<bool, Failure> {
        let labels = container.labels();
        let fits = labels[label::SEAL]
            == self
                .seal(Kind::Container, base_name(&container.name()), labels)
                .as_str();
        Ok(self.is_taken_over(&container.id())
            || (fits && !self.has_inherited_labels(container).await?))
    }

    /// Returns true if the user took over the object with this ID.
    fn is_taken_over(&self, id: &str) -> bool {
        self.taken_over.borrow().ids.contains(id)
    }

    /// Returns true if the user took over a container that no dockctl created, and it is still the
    /// same.
    pub(crate) fn is_foreign(&self, container: &Container) -> bool {
        let taken_over = self.taken_over.borrow();
        taken_over.foreign.get(&container.id()).is_some_and(|seen| {
            container.text("/Created") == Some(&seen.created_at) && container.tags() == seen.labels
        })
    }

    /// Returns true if a container belongs to the instance of a call: its labels name the instance,
    /// or it was taken over for it.
    pub(crate) fn is_of_instance(&self, container: &Container, call: &Call) -> bool {
        let is_known = || call.properties().values().any(|it| *it == *container.id());
        names_instance(container.labels(), call) || (self.is_foreign(container) && is_known())
    }

    /// Returns true if the labels of a container claim that it was created for a deployment: its
    /// record names this very container, and the labels do not come from its image.
    ///
    /// # Errors
    ///
    /// Returns an error if the labels of its image cannot be read.
    pub(crate) async fn is_claim(&self, container: &Container) -> Result<bool, Failure> {
        let record = container.label(label::RECORD).unwrap_or_default();
        Ok(label::is_for(record, base_name(&container.name()))
            && !self.has_inherited_labels(container).await?)
    }

    async fn has_inherited_labels(&self, container: &Container) -> Result<bool, Failure> {
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
        Ok(come_from_image(container.labels(), &of_image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn image_labels_are_distinguished_from_container_labels() {
        let image = json!({ "dockctl.deployment": "shop", "dockctl.execution": "1", "other": "x" });
        assert!(come_from_image(&image, &image));
        assert!(come_from_image(
            &json!({ "dockctl.deployment": "shop", "other": "y" }),
            &image
        ));
        assert!(!come_from_image(
            &json!({ "dockctl.deployment": "shop", "dockctl.execution": "2" }),
            &image
        ));
        assert!(
            !come_from_image(&json!({ "dockctl.deployment": "shop" }), &Json::Null),
            "the image is gone"
        );
    }
}

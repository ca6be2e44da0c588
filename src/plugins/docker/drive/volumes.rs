//! Volumes of dockctl's own node type.

use crate::{
    engine::{EngineError, Kind, KnownMessage, encode_path, failure, status},
    plugins::docker::{
        declare::{
            action::ObjectCreation,
            json::text,
            label::{self, names_deployment},
            volume::{request, runtime_properties},
        },
        drive::{
            containers::invalid_arguments,
            engine::{Engine, listed_name},
            networks::name_conflict,
        },
    },
    printable::printable,
    seam::{Call, Failure, Outputs},
};
use serde_json::{Value as Json, json};

impl Engine {
    /// Creates the volume of an instance, or uses the existing one of the same node: uninstall
    /// keeps volumes. Engines silently return an existing volume of the name, so dockctl inspects
    /// it before and after.
    pub(crate) async fn create_volume(
        &self,
        call: &Call,
        creation: &ObjectCreation,
    ) -> Result<Outputs, Failure> {
        let name = creation.name.as_str().unwrap_or_default().to_owned();
        let mut body =
            request(&creation.properties).map_err(|fault| invalid_arguments(&[fault]))?;
        body["Name"] = name.clone().into();
        self.add_labels(
            &mut body,
            call,
            &creation.declaration,
            (&creation.record, &name),
        );
        self.add_seal(&mut body, Kind::Volume, &name);
        self.remove_partial_volume(&name).await?;
        if self.volume(&name).await?.is_none() {
            self.requested_volumes.borrow_mut().insert(name.clone());
            let created = self.client.post("/volumes/create", &[], &body).await;
            created.map_err(|error| failure(&error, &format!("creating volume `{name}`")))?;
        }
        match self.volume(&name).await? {
            Some(found) if self.is_created_for_node(&found, call) => Ok(runtime_properties(&found)),
            Some(found) => Err(name_conflict("volume", &name, &found["Labels"])),
            None => Err(Failure::fatal(format!(
                "the engine reported success, but volume {name} does not exist"
            ))),
        }
    }

    /// Removes a partial volume: an engine that was stopped while creating a volume leaves it
    /// without labels. Removes only a volume that dockctl requested and that has no labels, is
    /// empty and not in use, so that another user's volume is not lost.
    async fn remove_partial_volume(&self, name: &str) -> Result<(), Failure> {
        if !self.requested_volumes.borrow().contains(name)
            || self
                .volume(name)
                .await?
                .is_none_or(|found| has_labels(&found))
        {
            return Ok(());
        }
        let usage = self
            .client
            .mapping("/system/df", &[])
            .await
            .map_err(|error| failure(&error, "reading the disk usage of volumes"))?;
        let found = usage["Volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|found| found["Name"] == name);
        if found.is_some_and(|found| found["UsageData"] == json!({ "RefCount": 0, "Size": 0 })) {
            let removed = self
                .client
                .delete(&format!("/volumes/{}", encode_path(name)), &[])
                .await;
            removed
                .map_err(|error| failure(&error, &format!("removing partial volume `{name}`")))?;
        }
        Ok(())
    }

    /// Returns true if a volume was created for the node of a call: its labels name the node, and
    /// the seal or the journal proves it. The instance may differ, because a volume outlives it and
    /// the next install creates another ID.
    fn is_created_for_node(&self, volume: &Json, call: &Call) -> bool {
        let labels = &volume["Labels"];
        let names_it = labels[label::DEPLOYMENT] == call.deployment.name.as_str()
            && labels[label::NODE] == call.node();
        let is_known = || {
            let names_this = names_deployment(labels, &call.deployment.name, &call.deployment.id);
            names_this
                && call
                    .properties()
                    .get("volume_name")
                    .is_some_and(|name| *name == volume["Name"])
        };
        names_it && (self.is_proven_as(volume, Kind::Volume) || is_known())
    }

    pub(crate) async fn volume(&self, name: &str) -> Result<Option<Json>, Failure> {
        self.client
            .object(Kind::Volume, name)
            .await
            .map_err(|error| failure(&error, &format!("looking up volume {name}")))
    }

    pub(crate) async fn adopt_volume(&self, name: &str) -> Result<Outputs, Failure> {
        let found = self.volume(name).await?;
        found.as_ref().map(runtime_properties).ok_or_else(|| {
            Failure::fatal(format!("cannot adopt volume `{name}`: it does not exist"))
                .hint("create the volume first, or remove `use_external_resource` to let dockctl create it")
        })
    }

    /// Removes the volume if requested, and any that a run created for the instance but did not
    /// record before it died. The data of a volume cannot be recreated, so only sealed or recorded
    /// volumes are removed.
    pub(crate) async fn remove_volume(
        &self,
        call: &Call,
        keep: &Json,
        made_by: Option<&[String]>,
    ) -> Result<Outputs, Failure> {
        let is_removed = *keep == false || made_by.is_some();
        let all = if is_removed {
            self.objects_of_instance(call, Kind::Volume).await?
        } else {
            Vec::new()
        };
        let is_chosen = |found: &&Json| {
            made_by.is_none_or(|made_by| {
                made_by
                    .iter()
                    .any(|execution| found["Labels"][label::EXECUTION] == execution.as_str())
            })
        };
        for found in all.iter().filter(is_chosen) {
            let name = text(&found["Name"]);
            let path = format!("/volumes/{}", encode_path(name));
            match self.client.delete(&path, &[]).await {
                Err(error) if status(&error) != Some(404) => {
                    return Err(self.volume_failure(&error, name).await);
                }
                _ => {}
            }
        }
        Ok(Outputs {
            unset: vec!["volume_name".into(), "mountpoint".into()],
            ..Outputs::default()
        })
    }
}

impl Engine {
    /// Returns the failure to remove a volume. It names the containers that use it: engines only
    /// tell their IDs.
    async fn volume_failure(&self, error: &EngineError, name: &str) -> Failure {
        let shown = printable(name);
        let cannot = failure(error, &format!("removing volume `{shown}`"));
        if !KnownMessage::InUse.matches_error(error) {
            return cannot;
        }
        let filters = json!({ "volume": [name] }).to_string();
        let query = [("all", "true".to_owned()), ("filters", filters)];
        let users = self.client.list(Kind::Container, &query).await;
        let users = users.unwrap_or_default();
        let names: Vec<String> = users.iter().filter_map(listed_name).collect();
        if names.is_empty() {
            return cannot;
        }
        let names = printable(&names.join("`, `"));
        Failure {
            message: format!("removing volume `{shown}`: container `{names}` uses it"),
            ..cannot.hint("remove the container, then repeat the command")
        }
    }
}

fn has_labels(volume: &Json) -> bool {
    volume["Labels"]
        .as_object()
        .is_some_and(|labels| !labels.is_empty())
}

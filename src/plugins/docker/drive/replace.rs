//! Changing a container: an update in place if the engine supports it, otherwise a replacement.
//!
//! The successor is created under a temporary name (`NAME.dockctl-next`). Then the predecessor is
//! renamed to `NAME.dockctl-former`, and the successor gets its name, is started and waited for.
//! The predecessor is removed last; until then it can be restored. An adopted predecessor is
//! renamed to `NAME.before-dockctl` and never removed.

use crate::plugins::docker::declare::container::anonymous_volumes;
use crate::{
    engine::{encode_path, failure, status},
    plugins::docker::{
        declare::{
            action::Creation,
            change::{
                CARRIED_VOLUMES, KEPT_SUFFIX, PREDECESSOR, PREDECESSOR_POLICY, PREDECESSOR_SUFFIX,
                SUCCESSOR, SUCCESSOR_SUFFIX, base_name,
            },
            container::Container,
            label,
            params::{self, Removal},
            status::ADOPTED_STATE,
        },
        drive::{
            containers::{WARNINGS, invalid_arguments, recorded_id},
            engine::Engine,
            init::PENDING,
        },
    },
    seam::{Call, Failure, ObjectState, Outputs},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Forced removal of a container with its anonymous volumes.
const FORCED: Removal = Removal {
    volumes: true,
    force: true,
    link: false,
};

fn property<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.properties().get(name).and_then(Json::as_str)
}

fn set(values: impl IntoIterator<Item = (&'static str, Json)>, unset: &[&str]) -> Outputs {
    let set = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Outputs {
        set,
        unset: unset.iter().map(|name| (*name).to_owned()).collect(),
        ..Outputs::default()
    }
}

impl Engine {
    /// Creates the successor of the instance's container under a temporary name. Carries anonymous
    /// volumes over.
    pub(crate) async fn create_successor(
        &self,
        call: &Call,
        creation: &Creation,
    ) -> Result<Outputs, Failure> {
        let Some(back) = self.undo_unfinished(call).await? else {
            return self.create_next(call, creation).await;
        };
        let properties = call
            .properties()
            .clone()
            .into_iter()
            .filter(|(name, _)| name != PREDECESSOR);
        let properties = properties
            .chain([("container_id".to_owned(), back.clone().into())])
            .collect();
        let mut outputs = self
            .create_next(&call.with_properties(properties), creation)
            .await?;
        outputs.set.insert("container_id".to_owned(), back.into());
        outputs.unset.push(PREDECESSOR.to_owned());
        Ok(outputs)
    }

    /// Undoes an unfinished change that left two containers: removes the successor and renames the
    /// predecessor back. Returns the ID of the predecessor, if it exists.
    async fn undo_unfinished(&self, call: &Call) -> Result<Option<String>, Failure> {
        let Some(id) = property(call, PREDECESSOR) else {
            return Ok(None);
        };
        let Some(before) = self.inspect(id).await? else {
            return Ok(None);
        };
        if let Some(unproven) = property(call, "container_id").filter(|it| *it != id) {
            self.delete_owned(call, unproven, FORCED).await?;
        }
        self.rename(id, base_name(&before.name())).await?;
        Ok(Some(id.to_owned()))
    }

    async fn create_next(&self, call: &Call, creation: &Creation) -> Result<Outputs, Failure> {
        let name = creation.name.as_str().unwrap_or_default();
        let before = self.current_container(call).await?;
        if before
            .as_ref()
            .is_none_or(|before| base_name(&before.name()) != name)
        {
            self.expect_name_obtainable(call, name).await?;
        }
        let adopted = before.as_ref().filter(|before| self.is_adopted(before));
        if let Some(unrestorable) = adopted.filter(|it| it.flag("/HostConfig/AutoRemove")) {
            return Err(not_restorable(unrestorable));
        }
        if let Some(adopted) = adopted.filter(|before| !before.name().ends_with(KEPT_SUFFIX)) {
            self.expect_name_free(call, &format!("{}{KEPT_SUFFIX}", adopted.name()))
                .await?;
        }
        let carried_volumes = before.as_ref().map(anonymous_volumes).unwrap_or_default();
        if let Some(found) = self
            .reuse_or_remove_successor(call, creation, &carried_volumes)
            .await?
        {
            return Ok(found);
        }
        let made = self
            .create_as(
                &call_with_carried_volumes(call, &carried_volumes),
                creation,
                &format!("{name}{SUCCESSOR_SUFFIX}"),
                &|_| {},
            )
            .await?;
        let id = made.set.get("container_id").cloned().unwrap_or_default();
        let pending = made.set.get(PENDING).cloned().map(|id| (PENDING, id));
        let warnings = made.set.get(WARNINGS).cloned().map(|it| (WARNINGS, it));
        let without_warnings: &[&str] = if warnings.is_some() { &[] } else { &[WARNINGS] };
        let kept = (!carried_volumes.is_empty()).then(|| (CARRIED_VOLUMES, carried_volumes.into()));
        let policy = before
            .as_ref()
            .and_then(|before| self.adopted_policy(before))
            .map(|policy| (PREDECESSOR_POLICY, policy));
        Ok(set(
            [(SUCCESSOR, id)]
                .into_iter()
                .chain(pending)
                .chain(warnings)
                .chain(kept)
                .chain(policy),
            without_warnings,
        ))
    }

    /// Returns the successor that a run created before it died, if there is one.
    pub(crate) async fn created_successor(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        if property(call, PREDECESSOR).is_some() {
            return Ok(None);
        }
        for id in self.containers_of(call).await? {
            let made = self.inspect(&id).await?.filter(|it| {
                it.label(label::EXECUTION) == Some(&call.execution)
                    && it.name().ends_with(SUCCESSOR_SUFFIX)
            });
            if made.is_some() {
                let policy = self
                    .current_container(call)
                    .await?
                    .as_ref()
                    .and_then(|before| self.adopted_policy(before))
                    .map(|policy| (PREDECESSOR_POLICY, policy));
                return Ok(Some(set(
                    [(SUCCESSOR, id.into())].into_iter().chain(policy),
                    &[],
                )));
            }
        }
        Ok(None)
    }

    /// Returns the successor that an unfinished run created, if it was created from the same
    /// request. Otherwise removes it.
    async fn reuse_or_remove_successor(
        &self,
        call: &Call,
        creation: &Creation,
        carried_volumes: &JsonMap<String, Json>,
    ) -> Result<Option<Outputs>, Failure> {
        let Some(id) = property(call, SUCCESSOR) else {
            return Ok(None);
        };
        let Some(found) = self.inspect(id).await? else {
            return Ok(None);
        };
        let call_with_volumes = call_with_carried_volumes(call, carried_volumes);
        if self
            .is_created_from(&found, &call_with_volumes, creation)
            .await?
        {
            return Ok(Some(set([(SUCCESSOR, id.into())], &[])));
        }
        self.delete_owned(
            call,
            id,
            Removal {
                volumes: false,
                ..FORCED
            },
        )
        .await?;
        Ok(None)
    }

    /// Returns true if a container was adopted: neither created nor taken over.
    fn is_adopted(&self, container: &Container) -> bool {
        container.label(label::DEPLOYMENT).is_none() && !self.is_foreign(container)
    }

    /// Returns the restart policy of an adopted container, if it has one.
    fn adopted_policy(&self, before: &Container) -> Option<Json> {
        let policy = before
            .json
            .pointer("/HostConfig/RestartPolicy")
            .filter(|policy| !matches!(policy["Name"].as_str(), None | Some("" | "no")));
        policy.filter(|_| self.is_adopted(before)).cloned()
    }

    async fn current_container(&self, call: &Call) -> Result<Option<Container>, Failure> {
        match property(call, "container_id") {
            Some(id) => self.inspect(id).await,
            None => Ok(None),
        }
    }

    /// Renames the stopped container of the instance, so that the container of another instance can
    /// have its name.
    pub(crate) async fn step_aside(
        &self,
        call: &Call,
        name: &Json,
        keeps: bool,
    ) -> Result<Outputs, Failure> {
        let Some(old) = self.remaining_predecessor(call).await? else {
            return Ok(Outputs::default());
        };
        let policy = self.adopted_policy(&old);
        self.rename_aside(&old, name.as_str().unwrap_or_default(), keeps)
            .await?;
        Ok(set(policy.map(|it| (PREDECESSOR_POLICY, it)), &[]))
    }

    /// Renames the predecessor and gives its name to the successor. Skips a rename that is already
    /// done.
    pub(crate) async fn swap(
        &self,
        call: &Call,
        name: &Json,
        keeps: bool,
    ) -> Result<Outputs, Failure> {
        let name = name.as_str().unwrap_or_default();
        let Some(id) = property(call, SUCCESSOR) else {
            return Err(Failure::fatal(
                "the replacement container was never created",
            ));
        };
        let Some(new) = self.inspect(id).await? else {
            return Err(Failure::fatal("the replacement container no longer exists"));
        };
        if let Some(old) = self.remaining_predecessor(call).await? {
            self.rename_aside(&old, name, keeps).await?;
        }
        if new.name() != name {
            self.rename(id, name).await?;
        }
        let former = call
            .properties()
            .get("container_id")
            .map(|old| (PREDECESSOR, old.clone()));
        Ok(set(
            [("container_id", id.into())].into_iter().chain(former),
            &[SUCCESSOR, "network_settings", "ports"],
        ))
    }

    /// Returns the predecessor, or `None` if it is gone. Waits for the removal of a stopped one
    /// with `AutoRemove`, which releases its name.
    async fn remaining_predecessor(&self, call: &Call) -> Result<Option<Container>, Failure> {
        let Some(old) = self.current_container(call).await? else {
            return Ok(None);
        };
        let ends = old.flag("/HostConfig/AutoRemove")
            && matches!(old.state(), ObjectState::Exited | ObjectState::Dead);
        if ends {
            self.await_removal(&old.id()).await?;
        }
        Ok(Some(old).filter(|_| !ends))
    }

    async fn rename_aside(
        &self,
        old: &Container,
        wanted: &str,
        keeps: bool,
    ) -> Result<(), Failure> {
        if keeps {
            self.set_policy(&old.id(), &json!({ "Name": "no" })).await?;
        }
        let (name, ending) = (
            old.name(),
            if keeps {
                KEPT_SUFFIX
            } else {
                PREDECESSOR_SUFFIX
            },
        );
        let lasting = if keeps { &name } else { base_name(&name) };
        let is_aside = name != wanted && name.ends_with(ending);
        if is_aside {
            Ok(())
        } else {
            self.rename(&old.id(), &format!("{lasting}{ending}")).await
        }
    }

    /// Sets the restart policy of an existing container. Podman does not support that, and does not
    /// restart containers when it starts.
    async fn set_policy(&self, id: &str, policy: &Json) -> Result<(), Failure> {
        if self.client.is_podman() {
            return Ok(());
        }
        let set = self
            .client
            .post_and_confirm(
                &format!("/containers/{id}/update"),
                &json!({ "RestartPolicy": policy }),
            )
            .await;
        set.map(drop).map_err(|error| {
            failure(
                &error,
                "changing the restart policy of the adopted container",
            )
        })
    }

    pub(crate) async fn rename(&self, id: &str, name: &str) -> Result<(), Failure> {
        let renamed = self
            .client
            .send(
                &format!("/containers/{id}/rename"),
                &[("name", name.to_owned())],
            )
            .await;
        match renamed {
            Ok(()) => Ok(()),
            // A repeated call may find that the lost one has succeeded.
            Err(_)
                if self
                    .inspect(id)
                    .await?
                    .is_some_and(|found| found.name() == name) =>
            {
                Ok(())
            }
            Err(error) if status(&error) == Some(409) => Err(Failure::fatal(format!(
                "the name `{name}` is taken by another container"
            ))
            .hint(format!(
                "rename or remove that container; to find it, run: docker ps -a --filter name=^/{name}$"
            ))),
            Err(error) => Err(failure(
                &error,
                &format!("renaming the container to `{name}`"),
            )),
        }
    }

    /// Removes the predecessor, unless it must be kept, and a successor that was never used. Their
    /// anonymous volumes are removed unless the instance's container uses them.
    pub(crate) async fn discard(
        &self,
        call: &Call,
        stop: &Json,
        keeps: bool,
    ) -> Result<Outputs, Failure> {
        let mine = property(call, "container_id");
        let others = [PREDECESSOR, SUCCESSOR]
            .map(|name| property(call, name).filter(|id| Some(*id) != mine));
        for old in others.into_iter().flatten() {
            let Some(old) = self.inspect(old).await? else {
                continue;
            };
            if matches!(
                old.state(),
                ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
            ) {
                self.stop_container(
                    &old.id(),
                    params::stop(stop).map_err(|faults| invalid_arguments(&faults))?,
                )
                .await?;
            }
            self.delete_owned(call, &old.id(), FORCED).await?;
            if let Some(image) = old
                .text("/Image")
                .filter(|image| property(call, "image_id") != Some(image))
            {
                self.remove_unnamed_image(image).await?;
            }
        }
        let adopted = keeps.then_some(ADOPTED_STATE);
        Ok(set(
            [],
            &[PREDECESSOR, SUCCESSOR, PREDECESSOR_POLICY]
                .into_iter()
                .chain(adopted)
                .collect::<Vec<_>>(),
        ))
    }

    /// Removes the successor, so that it no longer holds what the predecessors of other instances
    /// need.
    pub(crate) async fn withdraw(&self, call: &Call) -> Result<Outputs, Failure> {
        self.delete_successors(call).await?;
        Ok(Outputs::default())
    }

    async fn delete_successors(&self, call: &Call) -> Result<(), Failure> {
        let (mine, next) = (property(call, "container_id"), property(call, SUCCESSOR));
        let before = property(call, PREDECESSOR).or(mine);
        for new in [mine, next]
            .into_iter()
            .flatten()
            .filter(|new| Some(*new) != before)
        {
            self.delete_owned(call, new, FORCED).await?;
        }
        Ok(())
    }

    /// Removes the successor and renames the predecessor back. If the predecessor is gone, no
    /// container is left and a new one must be created; until then the ID of the predecessor stays
    /// recorded.
    pub(crate) async fn restore_predecessor(
        &self,
        call: &Call,
        name: &Json,
    ) -> Result<Outputs, Failure> {
        self.delete_successors(call).await?;
        let before = property(call, PREDECESSOR).or_else(|| property(call, "container_id"));
        let old = match before {
            Some(id) => {
                self.remaining_predecessor(&with_container(call, id))
                    .await?
            }
            None => None,
        };
        let Some(old) = old else {
            let before = before.map(|id| (PREDECESSOR, id.into()));
            return Ok(set(
                before,
                &[
                    "container_id",
                    SUCCESSOR,
                    PREDECESSOR_POLICY,
                    "network_settings",
                    "ports",
                ],
            ));
        };
        let now = old.name();
        let name = name.as_str().unwrap_or_else(|| base_name(&now));
        if now != name {
            self.rename(&old.id(), name).await?;
        }
        if let Some(policy) = call.properties().get(PREDECESSOR_POLICY) {
            self.set_policy(&old.id(), policy).await?;
        }
        let image = old.text("/Image").map(|image| ("image_id", image.into()));
        Ok(set(
            [
                ("container_id", old.id().into()),
                (PREDECESSOR, old.id().into()),
            ]
            .into_iter()
            .chain(image),
            &[SUCCESSOR],
        ))
    }

    /// Starts the predecessor, which has its name back.
    pub(crate) async fn start_restored(&self, call: &Call) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        self.start_once(call, &id)
            .await
            .map_err(|error| failure(&error, "starting the restored container"))?;
        let mut outputs = self.network_outputs(call, &id).await?;
        outputs.unset = [SUCCESSOR, PREDECESSOR, PREDECESSOR_POLICY]
            .map(str::to_owned)
            .to_vec();
        Ok(outputs)
    }

    /// Updates limits and the restart policy of the container in place.
    pub(crate) async fn adjust(&self, call: &Call, body: &Json) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        let adjusted = self
            .client
            .post_and_confirm(&format!("/containers/{id}/update"), body)
            .await;
        adjusted
            .map(|()| Outputs::default())
            .map_err(|error| failure(&error, "updating the limits of the container"))
    }

    /// Removes volumes that were carried over to a successor. The successor mounts them by name, so
    /// the engine does not remove them with it.
    pub(crate) async fn remove_carried(&self, call: &Call) -> Result<(), Failure> {
        let carried_volumes = call
            .properties()
            .get(CARRIED_VOLUMES)
            .and_then(Json::as_object);
        for name in carried_volumes
            .into_iter()
            .flatten()
            .filter_map(|(_, name)| name.as_str())
        {
            match self
                .client
                .delete(&format!("/volumes/{}", encode_path(name)), &[])
                .await
            {
                Err(error) if !matches!(status(&error), Some(404 | 409)) => {
                    return Err(failure(
                        &error,
                        &format!("removing anonymous volume `{name}`"),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn not_restorable(before: &Container) -> Failure {
    let name = before.name();
    Failure::fatal(format!(
        "adopted container `{name}` has AutoRemove: the engine would remove it once it is stopped, so it could not be kept"
    ))
    .hint("leave it adopted, or give the node another `name`")
    .hint(format!("if you no longer need it, remove it first: docker rm -f {name}"))
}

fn with_container(call: &Call, id: &str) -> Call {
    let properties = call
        .properties()
        .clone()
        .into_iter()
        .chain([("container_id".to_owned(), id.into())])
        .collect();
    call.with_properties(properties)
}

fn call_with_carried_volumes(call: &Call, carried_volumes: &JsonMap<String, Json>) -> Call {
    let properties = call
        .properties()
        .clone()
        .into_iter()
        .chain([(CARRIED_VOLUMES.to_owned(), carried_volumes.clone().into())])
        .collect();
    call.with_properties(properties)
}

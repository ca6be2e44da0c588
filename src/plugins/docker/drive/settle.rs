//! Settling: finding out whether a step took effect whose outcome was lost.

use crate::{
    engine::{EngineError, Kind, is_temporary, retry_delays},
    event::now,
    plugins::docker::{
        declare::{
            action::{Action, Dialect},
            build_config::BuildConfig,
            container::{Container, parse_milliseconds},
            label, network, volume,
        },
        drive::{
            containers::{container_id_outputs, removed_outputs, stopped_outputs},
            engine::Engine,
            networks,
        },
    },
    seam::{Call, Failure, ObjectState, Outputs},
};
use backon::BackoffBuilder as _;
use serde_json::Value as Json;

impl Engine {
    /// Returns the outputs of a step if it took effect. Returns `None` if it did not, or if the
    /// step checks that itself when it runs again. `since` is the time of the request, in
    /// milliseconds since 1970 UTC on this machine's clock.
    pub(crate) async fn settle(
        &self,
        action: &Action,
        call: &Call,
        since: u64,
    ) -> Result<Option<Outputs>, Failure> {
        match action {
            // These store properties that only the creating step knows.
            Action::Create(creation) if creation.dialect != Dialect::Params => Ok(None),
            Action::Create(_) => self.settle_create(call).await,
            Action::Start { .. } => self.settle_start(call, since).await,
            Action::Connect { network, .. } => self.settle_connect(call, network).await,
            Action::Stop { .. } => self.settle_stop(call).await,
            Action::Remove { .. } => self.settle_remove(call).await,
            Action::CreateNetwork(_) => {
                self.settle_object(call, Kind::Network, network::runtime_properties)
                    .await
            }
            Action::CreateVolume(_) => {
                self.settle_object(call, Kind::Volume, volume::runtime_properties)
                    .await
            }
            Action::RemoveNetwork => {
                let left = self.objects_of_instance(call, Kind::Network).await?;
                Ok(left.is_empty().then(networks::removed_outputs))
            }
            Action::Build { image, .. } => self.settle_build(call, image, since).await,
            Action::CreateSuccessor(creation) if creation.dialect == Dialect::Sdk => Ok(None),
            Action::CreateSuccessor(_) => self.created_successor(call).await,
            // These check the present state before they act. A command has no state to check, so it
            // runs at least once.
            Action::Image { .. }
            | Action::Recreate(_)
            | Action::StepAside { .. }
            | Action::Swap { .. }
            | Action::Withdraw
            | Action::Discard { .. }
            | Action::RestorePredecessor { .. }
            | Action::RestartPredecessor
            | Action::Adjust { .. }
            | Action::Rename { .. }
            | Action::Restart { .. }
            | Action::RemoveImage
            | Action::RemoveVolume { .. }
            | Action::Execute { .. }
            | Action::Wait { .. }
            | Action::WaitFor { .. }
            | Action::Follow
            | Action::JoinNetwork { .. }
            | Action::Init { .. }
            | Action::CheckUp
            | Action::Adopt { .. }
            | Action::Restore { .. }
            | Action::Release => Ok(None),
        }
    }

    /// Returns the container that this execution created for the instance.
    async fn settle_create(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        for id in self.containers_of(call).await? {
            let Some(found) = self.inspect(&id).await? else {
                continue;
            };
            if found.label(label::EXECUTION) == Some(&call.execution) {
                return Ok(Some(container_id_outputs(found.id())));
            }
        }
        Ok(None)
    }

    /// Checks that the container runs, or has run since the request: it may be one that exits.
    async fn settle_start(&self, call: &Call, since: u64) -> Result<Option<Outputs>, Failure> {
        let Some(id) = call.properties().get("container_id").and_then(Json::as_str) else {
            return Ok(None);
        };
        let found = self.inspect(id).await?;
        if !found
            .as_ref()
            .is_some_and(|found| self.ran_since(found, since))
        {
            return Ok(None);
        }
        self.network_outputs(call, id).await.map(Some)
    }

    fn ran_since(&self, found: &Container, since: u64) -> bool {
        let since = self
            .client
            .to_engine_clock(since)
            .saturating_sub(self.client.tolerance());
        match found.state() {
            ObjectState::Running | ObjectState::Restarting => true,
            ObjectState::Paused | ObjectState::Created => false,
            _ => found.started_ms().is_some_and(|started| started >= since),
        }
    }

    async fn settle_connect(
        &self,
        call: &Call,
        network: &Json,
    ) -> Result<Option<Outputs>, Failure> {
        let (Some(id), Some(network)) = (
            call.properties().get("container_id").and_then(Json::as_str),
            network.as_str(),
        ) else {
            return Ok(None);
        };
        let attached = self.inspect(id).await?.is_some_and(|found| {
            found.json["NetworkSettings"]["Networks"]
                .get(network)
                .is_some()
        });
        Ok(attached.then(Outputs::default))
    }

    async fn settle_stop(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        for id in self.containers_of(call).await? {
            let state = self.inspect(&id).await?.map(|found| found.state());
            if matches!(
                state,
                Some(ObjectState::Running | ObjectState::Restarting | ObjectState::Paused)
            ) {
                return Ok(None);
            }
        }
        Ok(Some(stopped_outputs()))
    }

    /// Checks that all containers are gone, and an image that is removed with them.
    async fn settle_remove(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        for id in self.containers_of(call).await? {
            if self.inspect(&id).await?.is_some() {
                return Ok(None);
            }
        }
        let image = call
            .properties()
            .get("image_id")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let left = !image.is_empty()
            && self
                .image(image)
                .await?
                .is_some_and(|image| self.is_removed_with_container(&image));
        Ok((!left).then(removed_outputs))
    }

    /// Returns the network or volume that this execution created.
    async fn settle_object(
        &self,
        call: &Call,
        kind: Kind,
        known: fn(&Json) -> Outputs,
    ) -> Result<Option<Outputs>, Failure> {
        let all = self.objects_of_instance(call, kind).await?;
        // A repeated call created two: running the step again leaves one.
        if all.len() > 1 {
            return Ok(None);
        }
        Ok(all
            .iter()
            .find(|found| found["Labels"][label::EXECUTION] == call.execution.as_str())
            .map(known))
    }

    /// Checks that an image of this name was built for the deployment since. An image that came
    /// entirely from the cache is older, so it is built again from the cache.
    async fn settle_build(
        &self,
        call: &Call,
        config: &Json,
        since: u64,
    ) -> Result<Option<Outputs>, Failure> {
        let Ok(recipe) = BuildConfig::read(config) else {
            return Ok(None);
        };
        let Some(found) = self.image(&recipe.tag).await? else {
            return Ok(None);
        };
        let since = self
            .client
            .to_engine_clock(since)
            .saturating_sub(self.client.tolerance());
        let made = found["Created"].as_str().and_then(parse_milliseconds);
        let mine = found["Config"]["Labels"][label::BUILT_FOR] == call.deployment.name.as_str();
        Ok((mine && made.is_some_and(|made| made >= since))
            .then(|| BuildConfig::interrupted_outputs(&found, &recipe.tag)))
    }

    /// Starts a container. Repeats a lost call only if the container has not run since: otherwise a
    /// container that is expected to exit would run twice.
    pub(crate) async fn start_once(&self, call: &Call, id: &str) -> Result<(), EngineError> {
        let (mut pauses, since) = (retry_delays().build(), now());
        loop {
            let error = match self
                .client
                .send_once(&format!("/containers/{id}/start"))
                .await
            {
                Ok(()) => return Ok(()),
                Err(error) if !is_temporary(&error) => return Err(error),
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = call.stop.cancelled() => return Err(error),
            }
            if self.inspect(id).await.is_ok_and(|found| {
                found
                    .as_ref()
                    .is_some_and(|found| self.ran_since(found, since))
            }) {
                return Ok(());
            }
        }
    }
}

//! Looking whether a step is done whose outcome was lost.

use crate::{
    engine::{EngineError, Kind, is_passing, pauses},
    event::now,
    plugins::docker::{
        declare::{
            action::{Action, Dialect},
            container::{Container, milliseconds},
            label, network,
            recipe::Recipe,
            volume,
        },
        drive::{
            containers::{container_id, forgotten, stopped},
            engine::Engine,
            networks,
        },
    },
    seam::{Call, Failure, ObjectState, Outputs},
};
use backon::BackoffBuilder as _;
use serde_json::Value as Json;

impl Engine {
    /// What a step changed, if it is done. None: it is not, or looks itself when it is carried out
    /// again. `since` is when it was asked for, in milliseconds since 1970 UTC, by this machine's
    /// clock.
    pub(crate) async fn settle(
        &self,
        action: &Action,
        call: &Call,
        since: u64,
    ) -> Result<Option<Outputs>, Failure> {
        match action {
            // What the plugin 2.x tells of its arguments is known to the one who makes the
            // container only.
            Action::Create(creation) if creation.dialect == Dialect::ContainerArgs => Ok(None),
            Action::Create(_) => self.created(call).await,
            Action::Start { .. } => self.started(call, since).await,
            Action::Connect { network, .. } => self.connected(call, network).await,
            Action::Stop { .. } => self.stopped(call).await,
            Action::Remove { .. } => self.removed(call).await,
            Action::CreateNetwork(_) => self.made(call, Kind::Network, network::known).await,
            Action::CreateVolume(_) => self.made(call, Kind::Volume, volume::known).await,
            Action::RemoveNetwork => {
                let left = self.made_for_instance(call, Kind::Network).await?;
                Ok(left.is_empty().then(networks::forgotten))
            }
            Action::Build { image, .. } => self.built(call, image, since).await,
            Action::CreateSuccessor(_) => self.successor_made(call).await,
            // They look at what is there before they do anything; a command cannot be looked at,
            // and is run at least once.
            Action::Image { .. }
            | Action::Recreate(_)
            | Action::Swap { .. }
            | Action::Discard { .. }
            | Action::StepBack { .. }
            | Action::PutBack
            | Action::Adjust { .. }
            | Action::Rename { .. }
            | Action::RemoveImage
            | Action::RemoveVolume { .. }
            | Action::Execute { .. }
            | Action::Wait { .. }
            | Action::WaitFor { .. }
            | Action::Follow
            | Action::Endure
            | Action::Adopt { .. }
            | Action::Restore { .. }
            | Action::Release => Ok(None),
        }
    }

    /// A container that this very execution made for the instance.
    async fn created(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        for id in self.containers_of(call).await? {
            let Some(found) = self.inspect(&id).await? else {
                continue;
            };
            if found.label(label::EXECUTION) == Some(&call.execution) {
                return Ok(Some(container_id(found.id())));
            }
        }
        Ok(None)
    }

    /// Whether the container runs, or ran since: one that is to end may have ended.
    async fn started(&self, call: &Call, since: u64) -> Result<Option<Outputs>, Failure> {
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
        self.network(call, id).await.map(Some)
    }

    fn ran_since(&self, found: &Container, since: u64) -> bool {
        let since = self
            .client
            .on_its_clock(since)
            .saturating_sub(self.client.tolerance());
        match found.state() {
            ObjectState::Running | ObjectState::Restarting => true,
            ObjectState::Paused | ObjectState::Created => false,
            _ => found.started_ms().is_some_and(|started| started >= since),
        }
    }

    async fn connected(&self, call: &Call, network: &Json) -> Result<Option<Outputs>, Failure> {
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

    async fn stopped(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        for id in self.containers_of(call).await? {
            let state = self.inspect(&id).await?.map(|found| found.state());
            if matches!(
                state,
                Some(ObjectState::Running | ObjectState::Restarting | ObjectState::Paused)
            ) {
                return Ok(None);
            }
        }
        Ok(Some(stopped()))
    }

    /// All gone, with the image that goes with them.
    async fn removed(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
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
                .is_some_and(|image| self.goes_with_container(&image));
        Ok((!left).then(forgotten))
    }

    /// A network or volume that this very execution made.
    async fn made(
        &self,
        call: &Call,
        kind: Kind,
        known: fn(&Json) -> Outputs,
    ) -> Result<Option<Outputs>, Failure> {
        let all = self.made_for_instance(call, kind).await?;
        // Two were made of one call that was repeated: creating it once more leaves one.
        if all.len() > 1 {
            return Ok(None);
        }
        Ok(all
            .iter()
            .find(|found| found["Labels"][label::EXECUTION] == call.execution.as_str())
            .map(known))
    }

    /// An image of that name that was built for the deployment since. One that came whole out of
    /// the cache is older: it is built again, out of the cache.
    async fn built(
        &self,
        call: &Call,
        config: &Json,
        since: u64,
    ) -> Result<Option<Outputs>, Failure> {
        let Ok(recipe) = Recipe::read(config) else {
            return Ok(None);
        };
        let Some(found) = self.image(&recipe.tag).await? else {
            return Ok(None);
        };
        let since = self
            .client
            .on_its_clock(since)
            .saturating_sub(self.client.tolerance());
        let made = found["Created"].as_str().and_then(milliseconds);
        let mine = found["Config"]["Labels"][label::BUILT_FOR] == call.deployment.name.as_str();
        Ok((mine && made.is_some_and(|made| made >= since))
            .then(|| Recipe::built(&found, &recipe.tag)))
    }

    /// Asks for a start until it is known whether it took place: a container that is to end would
    /// run twice if it were simply asked for again.
    pub(crate) async fn start_once(&self, call: &Call, id: &str) -> Result<(), EngineError> {
        let (mut pauses, since) = (pauses().build(), now());
        loop {
            let error = match self
                .client
                .send_once(&format!("/containers/{id}/start"))
                .await
            {
                Ok(()) => return Ok(()),
                Err(error) if !is_passing(&error) => return Err(error),
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

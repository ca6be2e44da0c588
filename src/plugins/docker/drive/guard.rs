//! Guard on the engine: keeps two machines from changing the same deployment at once.
//!
//! A guard is an empty volume. An engine creates only one volume of a name and returns it to all
//! callers: of several concurrent callers, one finds its own label on it. Labels cannot be changed,
//! so a renewal creates the next generation and removes the previous one. All times are on the
//! engine's clock.

use crate::{
    engine::{Client, Kind, encode_path, failure, retry_delays, status},
    event::now,
    plugins::{FoundGuard, GuardError, GuardHolder, HeldGuard, docker::drive::engine::Engine},
    seam::Failure,
};
use backon::Retryable as _;
use serde_json::{Value as Json, json};
use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

/// Label: the guarded deployment.
const GUARD: &str = "dockctl.guard";
/// Label: the holder of the guard, as JSON.
const HOLDER: &str = "dockctl.guard.holder";
/// Label: time of expiry, in milliseconds since 1970 UTC.
const EXPIRES: &str = "dockctl.guard.expires";
/// Label: number that grows with each renewal.
const GENERATION: &str = "dockctl.guard.generation";

/// Lifetime of a guard without renewal.
const LIFETIME: Duration = Duration::from_mins(1);
/// Time between renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(20);
/// Number of attempts to take a guard that a dead run may hold.
const ATTEMPTS: usize = 5;
/// Time between checks whether a renewal is due.
const TICK: Duration = Duration::from_millis(500);
/// Pause after a failed renewal.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Guard that was found on an engine.
#[derive(Clone, Debug)]
struct GuardVolume {
    name: String,
    generation: u64,
    expires: u64,
    holder: GuardHolder,
}

impl GuardVolume {
    fn from_volume(volume: &Json) -> Option<Self> {
        let label = |name: &str| volume["Labels"][name].as_str();
        Some(Self {
            name: volume["Name"].as_str()?.to_owned(),
            generation: label(GENERATION)?.parse().ok()?,
            expires: label(EXPIRES)?.parse().ok()?,
            holder: serde_json::from_str(label(HOLDER)?).ok()?,
        })
    }

    fn is_live(&self, client: &Client, me: &GuardHolder) -> bool {
        !self.holder.is_same(me) && self.expires > client.now() && !self.holder.is_dead(me)
    }
}

/// Guards on all engines of a deployment.
pub(crate) struct VolumeGuard {
    deployment: String,
    me: GuardHolder,
    /// Engines, each with the generation of its guard.
    held: Vec<(Rc<Engine>, u64)>,
    /// A renewal has started but not finished: a guard of the next generation may exist too.
    renewing: bool,
}

impl VolumeGuard {
    /// Guards a deployment on all engines, or on none if one is already guarded.
    pub(crate) async fn take(
        engines: Vec<Rc<Engine>>,
        deployment: &str,
        me: GuardHolder,
    ) -> Result<Self, GuardError> {
        let mut guard = Self {
            deployment: deployment.to_owned(),
            me,
            held: Vec::new(),
            renewing: false,
        };
        for engine in engines {
            match take_one(&engine, deployment, &guard.me).await {
                Ok(generation) => guard.held.push((engine, generation)),
                Err(busy) => {
                    guard.remove_held().await;
                    return Err(busy);
                }
            }
        }
        Ok(guard)
    }

    /// Renews the guard while it is held. Returns only when another run has taken it over, with
    /// that run.
    async fn renew_until_lost(&mut self) -> GuardHolder {
        let mut due = now() + millis(RENEWAL_INTERVAL);
        loop {
            // Uses the wall clock: other clocks do not count the time while a machine sleeps.
            while now() < due {
                tokio::time::sleep(TICK).await;
            }
            due = now() + millis(RENEWAL_INTERVAL);
            self.renewing = true;
            for (engine, generation) in &mut self.held {
                match renew(engine, &self.deployment, &self.me, *generation).await {
                    Ok(next) => *generation = next,
                    Err(GuardError::Busy(holder, _)) => return *holder,
                    Err(GuardError::Refused(failure)) => {
                        tracing::warn!(message = failure.message, "the guard was not renewed");
                        due = now() + millis(RETRY_DELAY);
                    }
                }
            }
            self.renewing = false;
        }
    }

    async fn remove_held(self) {
        for (engine, generation) in &self.held {
            let removed = if self.renewing {
                remove_all(&engine.client, &self.deployment, &self.me).await
            } else {
                remove_guard(&engine.client, &name(&self.deployment, *generation)).await
            };
            if let Err(failure) = removed {
                tracing::warn!(message = failure.message, "the guard was not removed");
            }
        }
    }
}

impl HeldGuard for VolumeGuard {
    fn wait_until_lost<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = GuardHolder> + 'a>> {
        Box::pin(self.renew_until_lost())
    }

    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(self.remove_held())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Removes the guards of this holder.
async fn remove_all(client: &Client, deployment: &str, me: &GuardHolder) -> Result<(), Failure> {
    for found in list_guards(client, deployment)
        .await
        .map_err(to_failure)?
        .iter()
        .filter(|found| found.holder.is_same(me))
    {
        remove_guard(client, &found.name).await?;
    }
    Ok(())
}

/// Takes the guard on one engine. A request of a dead run may still create a guard between the
/// check and the creation, so this tries several times.
async fn take_one(engine: &Engine, deployment: &str, me: &GuardHolder) -> Result<u64, GuardError> {
    for _ in 1..ATTEMPTS {
        match try_to_take(&engine.client, deployment, me).await {
            Err(GuardError::Busy(holder, _)) if holder.is_dead(me) => {}
            other => return other,
        }
    }
    try_to_take(&engine.client, deployment, me).await
}

async fn try_to_take(
    client: &Client,
    deployment: &str,
    me: &GuardHolder,
) -> Result<u64, GuardError> {
    let before = list_guards(client, deployment).await?;
    expect_unguarded(client, &before, me)?;
    let generation = before
        .iter()
        .map(|found| found.generation)
        .max()
        .unwrap_or(0)
        + 1;
    create_guard(client, deployment, me, generation).await?;
    // A run that created a guard after the check has a later generation, and takes precedence.
    let now = list_guards(client, deployment).await?;
    let later: Vec<GuardVolume> = now
        .into_iter()
        .filter(|found| found.generation > generation)
        .collect();
    if let Err(busy) = expect_unguarded(client, &later, me) {
        remove_guard(client, &name(deployment, generation))
            .await
            .map_err(GuardError::Refused)?;
        return Err(busy);
    }
    for dead in before {
        if let Err(failure) = remove_guard(client, &dead.name).await {
            remove_guard(client, &name(deployment, generation))
                .await
                .map_err(GuardError::Refused)?;
            return Err(GuardError::Refused(failure));
        }
    }
    Ok(generation)
}

/// Renews the guard on one engine. A guard that no longer exists was taken over, by a run that may
/// have ended since.
async fn renew(
    engine: &Engine,
    deployment: &str,
    me: &GuardHolder,
    generation: u64,
) -> Result<u64, GuardError> {
    let found = list_guards(&engine.client, deployment).await?;
    if !found.iter().any(|found| found.holder.is_same(me)) {
        let other = found
            .into_iter()
            .map(|found| found.holder)
            .next()
            .unwrap_or_default();
        return Err(GuardError::Busy(Box::new(other), 0));
    }
    create_guard(&engine.client, deployment, me, generation + 1).await?;
    remove_guard(&engine.client, &name(deployment, generation))
        .await
        .map_err(GuardError::Refused)?;
    Ok(generation + 1)
}

fn expect_unguarded(
    client: &Client,
    guards: &[GuardVolume],
    me: &GuardHolder,
) -> Result<(), GuardError> {
    match guards.iter().find(|found| found.is_live(client, me)) {
        Some(live) => Err(GuardError::Busy(
            Box::new(live.holder.clone()),
            live.expires.saturating_sub(client.now()).div_ceil(1000),
        )),
        None => Ok(()),
    }
}

/// Creates a guard. Fails if another holder's guard is already there.
async fn create_guard(
    client: &Client,
    deployment: &str,
    me: &GuardHolder,
    generation: u64,
) -> Result<(), GuardError> {
    let expires = client.now() + u64::try_from(LIFETIME.as_millis()).unwrap_or_default();
    let labels = json!({
        (GUARD): deployment,
        (HOLDER): json!(me).to_string(),
        (EXPIRES): expires.to_string(),
        (GENERATION): generation.to_string(),
    });
    let volume = name(deployment, generation);
    let body = json!({ "Name": volume, "Labels": labels });
    let made = client.post("/volumes/create", &[], &body).await;
    let made = made.map_err(|error| {
        let action = format!("guarding the deployment with volume `{volume}`");
        GuardError::Refused(failure(&error, &action))
    })?;
    match GuardVolume::from_volume(&made) {
        Some(found) if found.holder.is_same(me) => Ok(()),
        Some(found) => Err(GuardError::Busy(
            Box::new(found.holder),
            found.expires.saturating_sub(client.now()).div_ceil(1000),
        )),
        None => {
            let message = format!("volume {volume} exists but is not a guard");
            let hint = format!("remove it: docker volume rm {volume}");
            Err(GuardError::Refused(Failure::fatal(message).hint(hint)))
        }
    }
}

/// Returns the guards of a deployment, of all holders.
async fn list_guards(client: &Client, deployment: &str) -> Result<Vec<GuardVolume>, GuardError> {
    let filters = json!({ "label": [format!("{GUARD}={deployment}")] }).to_string();
    let listed = client.list(Kind::Volume, &[("filters", filters)]).await;
    let listed = listed.map_err(|error| {
        GuardError::Refused(failure(&error, "listing the guards of the deployment"))
    })?;
    Ok(listed.iter().filter_map(GuardVolume::from_volume).collect())
}

/// Removes a guard. Retries after any error: a second removal is harmless, but a guard that stays
/// would block other runs.
async fn remove_guard(client: &Client, name: &str) -> Result<(), Failure> {
    let path = format!("/volumes/{}", encode_path(name));
    let request = || client.delete(&path, &[]);
    match request
        .retry(retry_delays())
        .when(|error| status(error) != Some(404))
        .await
    {
        Err(error) if status(&error) != Some(404) => Err(failure(
            &error,
            &format!("removing the guard, volume `{name}`"),
        )),
        _ => Ok(()),
    }
}

fn name(deployment: &str, generation: u64) -> String {
    format!("dockctl-guard.{deployment}.{generation}")
}

impl Engine {
    /// Returns the guards of a deployment on this engine, each with its remaining time.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine call fails.
    pub(crate) async fn guards(
        &self,
        deployment: &str,
        me: &GuardHolder,
    ) -> Result<Vec<FoundGuard>, Failure> {
        let found = list_guards(&self.client, deployment)
            .await
            .map_err(to_failure)?;
        let left = |found: &GuardVolume| {
            if found.is_live(&self.client, me) {
                found
                    .expires
                    .saturating_sub(self.client.now())
                    .div_ceil(1000)
            } else {
                0
            }
        };
        Ok(found
            .iter()
            .map(|found| FoundGuard {
                expires_in: left(found),
                holder: found.holder.clone(),
            })
            .collect())
    }

    /// Removes the guards of a deployment.
    ///
    /// # Errors
    ///
    /// Returns an error if an engine call fails.
    pub(crate) async fn remove_guards(&self, deployment: &str) -> Result<(), Failure> {
        for found in list_guards(&self.client, deployment)
            .await
            .map_err(to_failure)?
        {
            remove_guard(&self.client, &found.name).await?;
        }
        Ok(())
    }
}

fn to_failure(unguarded: GuardError) -> Failure {
    match unguarded {
        GuardError::Refused(failure) => failure,
        GuardError::Busy(holder, _) => {
            Failure::fatal(format!("the deployment is guarded by {holder}"))
        }
    }
}

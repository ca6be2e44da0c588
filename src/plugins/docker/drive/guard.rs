//! Guard on the engine: keeps two machines from changing the same deployment at once.
//!
//! A guard is an empty volume. An engine creates only one volume of a name and returns it to all
//! callers: of several concurrent callers, one finds its own label on it. Labels cannot be changed,
//! so a renewal creates the next generation and removes the previous one. All times are on the
//! engine's clock.

use crate::{
    engine::{Client, Kind, failure, in_path, pauses, status},
    event::now,
    plugins::{GuardHolder, Guarding, Held, Unguarded, docker::drive::engine::Engine},
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
const LIFE: Duration = Duration::from_mins(1);
/// Time between renewals.
const RENEWAL: Duration = Duration::from_secs(20);
/// Number of attempts to take a guard that a dead run may hold.
const TRIES: usize = 5;
/// Time between checks whether a renewal is due.
const TICK: Duration = Duration::from_millis(500);
/// Pause after a failed renewal.
const AGAIN: Duration = Duration::from_secs(2);

/// Guard that was found on an engine.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    generation: u64,
    expires: u64,
    holder: GuardHolder,
}

impl Found {
    fn of(volume: &Json) -> Option<Self> {
        let label = |name: &str| volume["Labels"][name].as_str();
        Some(Self {
            name: volume["Name"].as_str()?.to_owned(),
            generation: label(GENERATION)?.parse().ok()?,
            expires: label(EXPIRES)?.parse().ok()?,
            holder: serde_json::from_str(label(HOLDER)?).ok()?,
        })
    }

    fn is_live(&self, client: &Client, me: &GuardHolder) -> bool {
        !self.holder.is(me) && self.expires > client.now() && !self.holder.is_dead(me)
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
    ) -> Result<Self, Unguarded> {
        let mut guard = Self {
            deployment: deployment.to_owned(),
            me,
            held: Vec::new(),
            renewing: false,
        };
        for engine in engines {
            match take_on(&engine, deployment, &guard.me).await {
                Ok(generation) => guard.held.push((engine, generation)),
                Err(busy) => {
                    guard.removed().await;
                    return Err(busy);
                }
            }
        }
        Ok(guard)
    }

    /// Renews the guard while it is held. Returns only when another run has taken it over, with
    /// that run.
    async fn renewed(&mut self) -> GuardHolder {
        let mut due = now() + millis(RENEWAL);
        loop {
            // Uses the wall clock: other clocks do not count the time while a machine sleeps.
            while now() < due {
                tokio::time::sleep(TICK).await;
            }
            due = now() + millis(RENEWAL);
            self.renewing = true;
            for (engine, generation) in &mut self.held {
                match renew(engine, &self.deployment, &self.me, *generation).await {
                    Ok(next) => *generation = next,
                    Err(Unguarded::Busy(holder, _)) => return *holder,
                    Err(Unguarded::Refused(failure)) => {
                        tracing::warn!(message = failure.message, "the guard was not renewed");
                        due = now() + millis(AGAIN);
                    }
                }
            }
            self.renewing = false;
        }
    }

    async fn removed(self) {
        for (engine, generation) in &self.held {
            let removed = if self.renewing {
                remove_all(&engine.client, &self.deployment, &self.me).await
            } else {
                remove(&engine.client, &name(&self.deployment, *generation)).await
            };
            if let Err(failure) = removed {
                tracing::warn!(message = failure.message, "the guard was not removed");
            }
        }
    }
}

impl Held for VolumeGuard {
    fn lost<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = GuardHolder> + 'a>> {
        Box::pin(self.renewed())
    }

    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(self.removed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Removes the guards of this holder.
async fn remove_all(client: &Client, deployment: &str, me: &GuardHolder) -> Result<(), Failure> {
    for found in all(client, deployment)
        .await
        .map_err(refusal)?
        .iter()
        .filter(|found| found.holder.is(me))
    {
        remove(client, &found.name).await?;
    }
    Ok(())
}

/// Takes the guard on one engine. A request of a dead run may still create a guard between the
/// check and the creation, so this tries several times.
async fn take_on(engine: &Engine, deployment: &str, me: &GuardHolder) -> Result<u64, Unguarded> {
    for _ in 1..TRIES {
        match try_to_take(&engine.client, deployment, me).await {
            Err(Unguarded::Busy(holder, _)) if holder.is_dead(me) => {}
            other => return other,
        }
    }
    try_to_take(&engine.client, deployment, me).await
}

async fn try_to_take(
    client: &Client,
    deployment: &str,
    me: &GuardHolder,
) -> Result<u64, Unguarded> {
    let before = all(client, deployment).await?;
    expect_free(client, &before, me)?;
    let generation = before
        .iter()
        .map(|found| found.generation)
        .max()
        .unwrap_or(0)
        + 1;
    make(client, deployment, me, generation).await?;
    // A run that created a guard after the check has a later generation, and takes precedence.
    let now = all(client, deployment).await?;
    let later: Vec<Found> = now
        .into_iter()
        .filter(|found| found.generation > generation)
        .collect();
    if let Err(busy) = expect_free(client, &later, me) {
        remove(client, &name(deployment, generation))
            .await
            .map_err(Unguarded::Refused)?;
        return Err(busy);
    }
    for dead in before {
        if let Err(failure) = remove(client, &dead.name).await {
            remove(client, &name(deployment, generation))
                .await
                .map_err(Unguarded::Refused)?;
            return Err(Unguarded::Refused(failure));
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
) -> Result<u64, Unguarded> {
    let found = all(&engine.client, deployment).await?;
    if !found.iter().any(|found| found.holder.is(me)) {
        let other = found
            .into_iter()
            .map(|found| found.holder)
            .next()
            .unwrap_or_default();
        return Err(Unguarded::Busy(Box::new(other), 0));
    }
    make(&engine.client, deployment, me, generation + 1).await?;
    remove(&engine.client, &name(deployment, generation))
        .await
        .map_err(Unguarded::Refused)?;
    Ok(generation + 1)
}

fn expect_free(client: &Client, guards: &[Found], me: &GuardHolder) -> Result<(), Unguarded> {
    match guards.iter().find(|found| found.is_live(client, me)) {
        Some(live) => Err(Unguarded::Busy(
            Box::new(live.holder.clone()),
            live.expires.saturating_sub(client.now()).div_ceil(1000),
        )),
        None => Ok(()),
    }
}

/// Creates a guard. Fails if another holder's guard is already there.
async fn make(
    client: &Client,
    deployment: &str,
    me: &GuardHolder,
    generation: u64,
) -> Result<(), Unguarded> {
    let expires = client.now() + u64::try_from(LIFE.as_millis()).unwrap_or_default();
    let labels = json!({
        (GUARD): deployment,
        (HOLDER): json!(me).to_string(),
        (EXPIRES): expires.to_string(),
        (GENERATION): generation.to_string(),
    });
    let body = json!({ "Name": name(deployment, generation), "Labels": labels });
    let made = client.post("/volumes/create", &[], &body).await;
    let made = made.map_err(|error| {
        Unguarded::Refused(failure(&error, "guarding the deployment on the engine"))
    })?;
    match Found::of(&made) {
        Some(found) if found.holder.is(me) => Ok(()),
        Some(found) => Err(Unguarded::Busy(
            Box::new(found.holder),
            found.expires.saturating_sub(client.now()).div_ceil(1000),
        )),
        None => {
            let volume = name(deployment, generation);
            let message = format!("volume {volume} exists but is not a guard");
            let hint = format!("remove it: docker volume rm {volume}");
            Err(Unguarded::Refused(Failure::fatal(message).hint(hint)))
        }
    }
}

/// Returns the guards of a deployment, of all holders.
async fn all(client: &Client, deployment: &str) -> Result<Vec<Found>, Unguarded> {
    let filters = json!({ "label": [format!("{GUARD}={deployment}")] }).to_string();
    let listed = client.list(Kind::Volume, &[("filters", filters)]).await;
    let listed = listed.map_err(|error| {
        Unguarded::Refused(failure(&error, "listing the guards of the deployment"))
    })?;
    Ok(listed.iter().filter_map(Found::of).collect())
}

/// Removes a guard. Retries after any error: a second removal is harmless, but a guard that stays
/// would block other runs.
async fn remove(client: &Client, name: &str) -> Result<(), Failure> {
    let path = format!("/volumes/{}", in_path(name));
    let asked = || client.delete(&path, &[]);
    match asked
        .retry(pauses())
        .when(|error| status(error) != Some(404))
        .await
    {
        Err(error) if status(&error) != Some(404) => Err(failure(&error, "removing a guard")),
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
    ) -> Result<Vec<Guarding>, Failure> {
        let found = all(&self.client, deployment).await.map_err(refusal)?;
        let left = |found: &Found| {
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
            .map(|found| Guarding {
                left: left(found),
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
        for found in all(&self.client, deployment).await.map_err(refusal)? {
            remove(&self.client, &found.name).await?;
        }
        Ok(())
    }
}

fn refusal(unguarded: Unguarded) -> Failure {
    match unguarded {
        Unguarded::Refused(failure) => failure,
        Unguarded::Busy(holder, _) => {
            Failure::fatal(format!("the deployment is guarded by {holder}"))
        }
    }
}

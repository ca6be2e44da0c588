//! A guard on the engine: two machines that share it cannot work on one deployment at once.
//!
//! It is a volume without content. Engines make one volume of a name and give everyone the same: of
//! several who make it at once, one finds its own label on it. Labels cannot be changed, so a guard
//! is renewed by making the next generation and removing the last. Times are those of the engine's
//! clock.

use crate::{
    engine::{Client, Kind, failure, in_path, pauses, status},
    event::now,
    plugins::{GuardHolder, Guarding, Held, Unguarded, docker::drive::engine::Engine},
    seam::Failure,
};
use backon::Retryable as _;
use serde_json::{Value as Json, json};
use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

/// Deployment that a volume guards.
const GUARD: &str = "dockctl.guard";
/// Who made it, as JSON.
const HOLDER: &str = "dockctl.guard.holder";
/// When it ends, in milliseconds since 1970 UTC.
const EXPIRES: &str = "dockctl.guard.expires";
/// Counts renewals.
const GENERATION: &str = "dockctl.guard.generation";

/// How long a guard holds unless it is renewed.
const LIFE: Duration = Duration::from_mins(1);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(20);
/// How often it is tried to take a guard that a dead run may hold.
const TRIES: usize = 5;
/// How often it is looked whether it is time for that.
const TICK: Duration = Duration::from_millis(500);
/// Pause after a renewal that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// A guard as the engine has it.
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

/// A guard on each engine of a deployment.
pub(crate) struct VolumeGuard {
    deployment: String,
    me: GuardHolder,
    /// Each engine with the generation of its guard.
    held: Vec<(Rc<Engine>, u64)>,
    /// A renewal was begun and has not ended: there may be one of the next generation too.
    renewing: bool,
}

impl VolumeGuard {
    /// Guards a deployment on engines; on none of them if one is guarded already.
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

    /// Renews the guard for as long as it is held. Comes only when another run has taken it over:
    /// who.
    async fn renewed(&mut self) -> GuardHolder {
        let mut due = now() + millis(RENEWAL);
        loop {
            // By the clock of the wall: a machine that slept does not count the time.
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

/// Removes the guards that this holder made.
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

/// Takes the guard of one engine. What a dead run had asked for may turn up between the look and
/// the making.
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
    // One who came between the look and the making has a later generation, and was first.
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

/// One that is not there any more was taken over, by a run that may have ended since.
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

/// Makes a guard; somebody else's if that was there before.
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
            let message = format!(
                "the volume {} is there and is no guard",
                name(deployment, generation)
            );
            Err(Unguarded::Refused(
                Failure::fatal(message).hint("remove it: docker volume rm"),
            ))
        }
    }
}

/// Guards of a deployment, whoever made them.
async fn all(client: &Client, deployment: &str) -> Result<Vec<Found>, Unguarded> {
    let filters = json!({ "label": [format!("{GUARD}={deployment}")] }).to_string();
    let listed = client.list(Kind::Volume, &[("filters", filters)]).await;
    let listed = listed.map_err(|error| {
        Unguarded::Refused(failure(&error, "looking who guards the deployment"))
    })?;
    Ok(listed.iter().filter_map(Found::of).collect())
}

/// Removing it twice does no harm, and leaving it would be seen: it is asked for again whatever the
/// engine says.
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
    /// Guards of a deployment on this engine that may be at work.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
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

    /// Removes guards of a deployment.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
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
        Unguarded::Busy(holder, _) => Failure::fatal(format!("it is guarded by {holder}")),
    }
}

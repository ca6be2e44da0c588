//! `heal --watch`: repairs failed instances until a request to stop.
//!
//! Engines send events; in addition, instances are checked at intervals. The deployment is held
//! only during a repair. Containers that a user stopped are ignored: the event of the signal
//! precedes the event of the exit. An engine also sends signals when it shuts down, but then it
//! refuses new connections. Such signals are not treated as user actions.

use super::{
    caller::Notice,
    error::{Error, Kind},
    execute::{Asked, Executed, Order, forgiving, named},
    target::{Running, targets},
    workspace::Workspace,
};
use crate::{
    plan::{Known, heal},
    plugins::{Drivers, Happenings, Places},
    record::Record,
    report::count,
    seam::{Happening, What},
    stage::Selection,
};
use futures_util::StreamExt as _;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// Interval of checks while engines send no events.
const QUIET: Duration = Duration::from_secs(30);
/// The period in which the repairs of an instance are counted.
const HOUR: Duration = Duration::from_hours(1);
/// Delay that collects simultaneous events into one repair.
const SETTLE: Duration = Duration::from_millis(300);

/// Pause before retrying an engine that does not respond.
const AGAIN: Duration = Duration::from_secs(1);

/// The limit for repairs of one instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Maximum number of repairs per hour.
    pub budget: usize,
    /// Minimum time between two repairs.
    pub cool_down: Duration,
}

/// The progress of a deliberate stop of an instance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stopped {
    #[default]
    No,
    /// A terminating signal was sent to it.
    Signalled,
    /// It exited after such a signal, which came from a user or from an engine that shuts down.
    Dead,
    /// A user stopped it. This has been reported.
    OnPurpose,
}

/// The state of a watched instance.
#[derive(Debug, Default)]
struct Watched {
    /// Times of the repairs in the last hour.
    mended: VecDeque<Instant>,
    /// Whether a user stopped it.
    stopped: Stopped,
    /// Number of cleanup events since its exit.
    cleanups: usize,
    /// Time when it was first seen unhealthy. Engines may report the reason a moment later.
    ill_since: Option<Instant>,
    /// It was reported that its budget is exhausted.
    given_up: bool,
}

impl Watched {
    /// Returns the earliest time of the next repair, or `None` if the budget is exhausted.
    fn mendable_at(&mut self, patience: Patience, now: Instant) -> Option<Instant> {
        while self
            .mended
            .front()
            .is_some_and(|at| now.duration_since(*at) > HOUR)
        {
            self.mended.pop_front();
        }
        if self.mended.len() >= patience.budget {
            return None;
        }
        self.given_up = false;
        Some(
            self.mended
                .back()
                .map_or(now, |last| *last + patience.cool_down),
        )
    }

    /// Returns the time by which the engine should have reported the reason.
    fn is_understood_at(&mut self, now: Instant) -> Instant {
        *self.ill_since.get_or_insert(now) + SETTLE
    }

    /// Applies an event.
    fn note(&mut self, what: What) {
        match what {
            What::Died => self.ill_since = Some(Instant::now()),
            What::Started => self.ill_since = None,
            _ => {}
        }
        self.cleanups = match what {
            What::Died | What::Started => 0,
            What::Cleaned => self.cleanups + 1,
            _ => self.cleanups,
        };
        self.stopped = match (what, self.stopped) {
            (What::Cleaned, Stopped::No) if self.cleanups > 1 => Stopped::Dead,
            (What::Signalled, Stopped::No) => Stopped::Signalled,
            (What::Died, Stopped::Signalled)
            | (What::Stopped, Stopped::No | Stopped::Signalled) => Stopped::Dead,
            // A user cannot start a removed container again: treat it as missing.
            (What::Started | What::Gone, _) => Stopped::No,
            (_, stopped) => stopped,
        };
    }

    /// Discards signals before an engine shutdown: the engine sent them, unless the stop was
    /// already attributed to a user.
    fn forget_signals(&mut self) {
        if self.stopped != Stopped::OnPurpose {
            self.stopped = Stopped::No;
        }
    }
}

/// Watches until a request to stop.
///
/// # Errors
///
/// If there is nothing to watch, or a repair is interrupted.
pub(crate) async fn watch(
    order: &Order<'_>,
    instances: &[String],
    patience: Patience,
) -> Result<(), Error> {
    let record = order.workspace.record(&order.deployment)?;
    let mut watch = Watch {
        order,
        workspace: order.workspace,
        name: &order.deployment,
        instances,
        patience,
        known: HashMap::new(),
        unseen: None,
    };
    let targets = targets(order.workspace, &record, instances)?;
    watch.say(&format!("watching {}", count(targets.len(), "container")));
    watch.run().await
}

struct Watch<'a> {
    order: &'a Order<'a>,
    workspace: &'a Workspace<'a>,
    name: &'a str,
    instances: &'a [String],
    patience: Patience,
    known: HashMap<String, Watched>,
    /// The last reported reason why the engine cannot be queried.
    unseen: Option<String>,
}

/// The event stream and the time of the next check.
struct Attention {
    /// Events of the engines; `None` while no engine accepts a subscription.
    told: Option<Happenings>,
    look_at: Instant,
}

impl Watch<'_> {
    /// Watches until a request to stop. A repair in progress finishes first; everything else is
    /// cancelled immediately.
    async fn run(&mut self) -> Result<(), Error> {
        let (systems, stop_requests) = (
            self.workspace.connect()?,
            self.workspace.caller.stop_requests()?,
        );
        let drivers = systems.drivers();
        let mut attention = Attention {
            told: None,
            look_at: Instant::now(),
        };
        loop {
            let ill = tokio::select! {
                ill = self.ill_next(&drivers, &mut attention) => ill?,
                () = stop_requests.stopped() => return Ok(()),
            };
            if self.mend(ill).await? {
                attention.look_at = attention.look_at.min(Instant::now() + SETTLE);
            }
        }
    }

    /// Returns the instances to repair next, each with the reason.
    async fn ill_next(
        &mut self,
        drivers: &Drivers<'_>,
        attention: &mut Attention,
    ) -> Result<Vec<(String, String)>, Error> {
        loop {
            let Some(told) = &mut attention.told else {
                self.listen(drivers, attention).await?;
                continue;
            };
            tokio::select! {
                // Apply pending events before checking.
                biased;
                happening = told.next() => if let Some(happening) = happening {
                    self.note(&happening);
                    attention.look_at = attention.look_at.min(Instant::now() + SETTLE);
                } else {
                    // The engine stopped or restarted.
                    attention.told = None;
                    self.known.values_mut().for_each(Watched::forget_signals);
                    tokio::time::sleep(AGAIN).await;
                },
                () = tokio::time::sleep_until(attention.look_at) => {
                    let (ill, next) = self.look(drivers).await?;
                    attention.look_at = next;
                    if !ill.is_empty() {
                        return Ok(ill);
                    }
                }
            }
        }
    }

    async fn listen(
        &mut self,
        drivers: &Drivers<'_>,
        attention: &mut Attention,
    ) -> Result<(), Error> {
        match self.subscribe(drivers).await {
            Ok(told) => attention.told = Some(told),
            Err(error) if error.kind == Kind::Engine => {
                self.say_unseen(&error);
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
        attention.look_at = Instant::now();
        Ok(())
    }

    /// Reports a failed query. The same reason is reported only once until the engine responds.
    fn say_unseen(&mut self, error: &Error) {
        if self.unseen.as_ref() != Some(&error.message) {
            self.say(&format!("cannot query the engine: {}", error.message));
            self.unseen = Some(error.message.clone());
        }
    }

    /// Subscribes to the events of the deployment.
    async fn subscribe(&self, drivers: &Drivers<'_>) -> Result<Happenings, Error> {
        let record = self.workspace.record(self.name)?;
        let mut places = Places::new();
        for Running { instance, place } in targets(self.workspace, &record, self.instances)? {
            places.insert(instance, place.into());
        }
        Ok(drivers.happenings(self.name, &places).await?)
    }

    fn note(&mut self, happening: &Happening) {
        tracing::debug!(instance = happening.instance, what = ?happening.what, "engine event");
        self.known
            .entry(happening.instance.clone())
            .or_default()
            .note(happening.what);
    }

    /// Reports the instances that a user stopped. The engine must still accept connections:
    /// otherwise it may have stopped them itself. This runs after a delay, because removing a
    /// container stops it first. Returns true if the cause of all stops is known.
    async fn tell_of_stopped(&mut self, drivers: &Drivers<'_>, record: &Record) -> bool {
        let dead = self
            .known
            .iter()
            .filter(|(_, watched)| watched.stopped == Stopped::Dead);
        let dead: Vec<String> = dead.map(|(id, _)| id.clone()).collect();
        if dead.is_empty() {
            return true;
        }
        let mut is_known = true;
        for target in targets(self.workspace, record, &[])
            .unwrap_or_default()
            .into_iter()
            .filter(|target| dead.contains(&target.instance))
        {
            if drivers.accepts(&target.place).await {
                self.known
                    .entry(target.instance.clone())
                    .or_default()
                    .stopped = Stopped::OnPurpose;
                self.say(&format!(
                    "{} was stopped by a user; ignored until it is started again",
                    target.instance
                ));
            } else {
                is_known = false;
            }
        }
        is_known
    }

    /// Checks the instances. Returns those to repair now, and the time of the next check.
    async fn look(
        &mut self,
        drivers: &Drivers<'_>,
    ) -> Result<(Vec<(String, String)>, Instant), Error> {
        let record = self.workspace.record(self.name)?;
        let is_known = self.tell_of_stopped(drivers, &record).await;
        let now = Instant::now();
        if !record.is_installed() {
            return Err(Error::new(
                Kind::Failed,
                format!("`{}` was uninstalled: nothing left to watch", self.name),
            ));
        }
        let ill = match self.ill(drivers, &record).await {
            Ok(ill) => ill,
            Err(error) => {
                self.say_unseen(&error);
                return Ok((Vec::new(), Instant::now() + AGAIN));
            }
        };
        self.unseen = None;
        let mut next = now + if is_known { QUIET } else { SETTLE };
        let mut mend = Vec::new();
        for (id, watched) in &mut self.known {
            if !ill.iter().any(|(ill, _)| ill == id) {
                watched.ill_since = None;
            }
        }
        for (id, why) in ill {
            let watched = self.known.entry(id.clone()).or_default();
            let understood = watched.is_understood_at(now);
            match watched
                .mendable_at(self.patience, now)
                .map(|at| at.max(understood))
            {
                Some(at) if at <= now => mend.push((id, why)),
                Some(at) => next = next.min(at),
                None if !watched.given_up => {
                    watched.given_up = true;
                    let (times, name) = (self.patience.budget, self.name);
                    self.say(&format!(
                        "{id} needs another repair ({why}), but its repair budget is exhausted (per hour: {times}); automatic repairs resume one hour \
                         after the first; see its logs: dockctl logs {id} -d {name}; repair it now: dockctl heal {id} -d {name}"
                    ));
                }
                None => {}
            }
        }
        Ok((mend, next))
    }

    /// Returns the IDs of the instances to repair, each with the reason. Excludes stopped
    /// instances.
    async fn ill(
        &self,
        drivers: &Drivers<'_>,
        record: &Record,
    ) -> Result<Vec<(String, String)>, Error> {
        let Some(deployment) = &record.deployment else {
            return Ok(Vec::new());
        };
        let observed = self.workspace.observe(drivers, deployment, record).await?;
        let selection = named(self.instances, record)?;
        let known = Known::new(deployment, record, &observed);
        let proposal = heal::first(&known, &forgiving(selection));
        let tasks = proposal
            .stage
            .tasks()
            .iter()
            .filter(|task| task.operation != "check_status");
        let mut ill: Vec<(String, String)> = tasks
            .map(|task| (task.instance.clone(), task.cause.clone()))
            .collect();
        let mut seen = HashSet::new();
        // An instance that received a signal may exit soon: wait for the event.
        let is_spared = |id: &str| {
            self.known
                .get(id)
                .is_some_and(|watched| watched.stopped != Stopped::No)
        };
        ill.retain(|(id, _)| seen.insert(id.clone()) && !is_spared(id));
        Ok(ill)
    }

    /// Repairs instances. Returns true if another check should follow soon.
    async fn mend(&mut self, ill: Vec<(String, String)>) -> Result<bool, Error> {
        for (id, why) in &ill {
            self.say(&format!("{id} needs repair: {why}"));
        }
        let ids: Vec<String> = ill.into_iter().map(|(id, _)| id).collect();
        let selection = Selection::of_instances(ids.iter().cloned());
        let done = Box::pin(self.order.execute(&Asked::HealOnly(selection))).await;
        let at = Instant::now();
        match done {
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) if error.kind == Kind::Busy => {
                self.say("another run is using the deployment");
                return Ok(false);
            }
            Err(error) => self.workspace.caller.say(&Notice::RepairFailed(&error)),
            Ok(executed) => {
                if let Executed::Ran(record) = &executed {
                    self.workspace.caller.say(&Notice::Ignored(record));
                }
                self.say(&format!("repaired: {}", ids.join(", ")));
            }
        }
        for id in ids {
            self.known.entry(id).or_default().mended.push_back(at);
        }
        Ok(true)
    }

    fn say(&self, words: &str) {
        self.workspace.caller.say(&Notice::Watch {
            deployment: self.name,
            news: words.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        budget: 2,
        cool_down: Duration::from_secs(10),
    };

    #[test]
    fn an_instance_is_mended_so_often_in_an_hour_and_not_at_once() {
        let (start, mut watched) = (Instant::now(), Watched::default());
        assert_eq!(watched.mendable_at(PATIENCE, start), Some(start));
        watched.mended.push_back(start);
        assert_eq!(
            watched.mendable_at(PATIENCE, start),
            Some(start + PATIENCE.cool_down)
        );
        watched.mended.push_back(start + PATIENCE.cool_down);
        assert_eq!(
            watched.mendable_at(PATIENCE, start + HOUR),
            None,
            "the budget is exhausted"
        );
        let later = start + HOUR + Duration::from_secs(5);
        assert_eq!(
            watched.mendable_at(PATIENCE, later),
            Some(start + PATIENCE.cool_down * 2),
            "the first repair no longer counts"
        );
    }

    #[test]
    fn who_is_signalled_and_dies_is_left_alone_until_it_starts() {
        let mut watched = Watched::default();
        watched.note(What::Died);
        assert_eq!(watched.stopped, Stopped::No, "it exited by itself");
        watched.note(What::Started);
        watched.note(What::Signalled);
        assert_eq!(
            watched.stopped,
            Stopped::Signalled,
            "it may survive the signal"
        );
        watched.note(What::Died);
        assert_eq!(watched.stopped, Stopped::Dead);
        watched.note(What::Started);
        assert_eq!(watched.stopped, Stopped::No);
        watched.note(What::Signalled);
        watched.note(What::Died);
        watched.note(What::Gone);
        assert_eq!(
            watched.stopped,
            Stopped::No,
            "a removed instance is missing"
        );
    }

    #[test]
    fn a_stop_counts_with_or_without_a_signal_before_or_after_the_death() {
        let noted = |all: &[What]| {
            let mut watched = Watched::default();
            for what in all {
                watched.note(*what);
            }
            watched.stopped
        };
        assert_eq!(
            noted(&[What::Signalled, What::Died, What::Stopped]),
            Stopped::Dead,
            "Docker"
        );
        assert_eq!(
            (
                noted(&[What::Stopped, What::Died]),
                noted(&[What::Died, What::Stopped])
            ),
            (Stopped::Dead, Stopped::Dead),
            "Podman"
        );
        assert_eq!(
            noted(&[What::Died, What::Cleaned, What::Cleaned]),
            Stopped::Dead,
            "Podman, which sometimes omits the stop event"
        );
        assert_eq!(
            noted(&[
                What::Died,
                What::Cleaned,
                What::Started,
                What::Died,
                What::Cleaned
            ]),
            Stopped::No,
            "it exited twice by itself"
        );
        assert_eq!(
            noted(&[What::Stopped, What::Died, What::Started]),
            Stopped::No
        );
    }

    #[test]
    fn signals_of_an_engine_that_goes_away_are_nobodys_will() {
        let mut watched = Watched::default();
        watched.note(What::Signalled);
        watched.note(What::Died);
        watched.forget_signals();
        assert_eq!(watched.stopped, Stopped::No);
        watched.stopped = Stopped::OnPurpose;
        watched.forget_signals();
        assert_eq!(
            watched.stopped,
            Stopped::OnPurpose,
            "a stop by a user survives an engine restart"
        );
    }
}

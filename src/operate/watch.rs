//! `heal --watch`: repairs failed instances until a request to stop.
//!
//! Engines send events; in addition, instances are checked at intervals. The deployment is held
//! only during a repair. Containers that a user stopped are ignored: the event of the signal
//! precedes the event of the exit. An engine also sends signals when it shuts down, but then it
//! refuses new connections. Such signals are not treated as user actions.

use super::{
    caller::Notice,
    error::{Error, Kind},
    execute::{Request, RequestContext, Work, heal_parameters, select_instances},
    target::{InstanceObject, targets},
    workspace::Workspace,
};
use crate::{
    plan::{self, PlanInput},
    plugins::{Drivers, ObjectEvents, ObjectPlaces},
    record::Record,
    report::count,
    seam::{ObjectEvent, ObjectEventKind, Unseen},
    stage::{Parameters, Selection},
};
use futures_util::StreamExt as _;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// Default interval of checks while engines send no events.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The period in which the repairs of an instance are counted.
const BUDGET_PERIOD: Duration = Duration::from_hours(1);
/// Delay that collects simultaneous events into one repair.
const EVENT_DELAY: Duration = Duration::from_millis(300);

/// Time between two checks while one of several engines does not respond.
const UNSEEN_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before retrying an engine that does not respond.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The limit for repairs of one instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepairLimit {
    /// Maximum number of repairs per hour.
    pub budget: usize,
    /// Minimum time between two repairs.
    pub cool_down: Duration,
    /// Time between two checks while engines send no events.
    pub check_interval: Duration,
    /// Instances that a user stopped are repaired too.
    pub heals_stopped: bool,
}

/// The progress of a deliberate stop of an instance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum StopProgress {
    #[default]
    NotStopped,
    /// A terminating signal was sent to it.
    Signaled,
    /// It exited after such a signal, which came from a user or from an engine that shuts down.
    Exited,
    /// A user stopped it. This has been reported.
    ByUser,
}

/// The state of a watched instance.
#[derive(Debug, Default)]
struct Watched {
    /// Times of the repairs in the last hour.
    repairs: VecDeque<Instant>,
    /// Whether a user stopped it.
    stopped: StopProgress,
    /// Number of cleanup events since its exit.
    cleanups: usize,
    /// Time when it was first seen unhealthy. Engines may report the reason a moment later.
    unhealthy_since: Option<Instant>,
    /// It was reported that its budget is exhausted.
    is_reported_exhausted: bool,
}

impl Watched {
    /// Returns the earliest time of the next repair, or `None` if the budget is exhausted.
    fn next_repair_at(&mut self, patience: RepairLimit, now: Instant) -> Option<Instant> {
        while self
            .repairs
            .front()
            .is_some_and(|at| now.duration_since(*at) > BUDGET_PERIOD)
        {
            self.repairs.pop_front();
        }
        if self.repairs.len() >= patience.budget {
            return None;
        }
        self.is_reported_exhausted = false;
        Some(
            self.repairs
                .back()
                .map_or(now, |last| *last + patience.cool_down),
        )
    }

    /// Returns the time by which the engine should have reported the reason.
    fn reason_known_at(&mut self, now: Instant) -> Instant {
        *self.unhealthy_since.get_or_insert(now) + EVENT_DELAY
    }

    /// Applies an event.
    fn apply(&mut self, what: ObjectEventKind) {
        match what {
            ObjectEventKind::Exited => self.unhealthy_since = Some(Instant::now()),
            ObjectEventKind::Started => self.unhealthy_since = None,
            _ => {}
        }
        self.cleanups = match what {
            ObjectEventKind::Exited | ObjectEventKind::Started => 0,
            ObjectEventKind::Cleaned => self.cleanups + 1,
            _ => self.cleanups,
        };
        self.stopped = match (what, self.stopped) {
            (ObjectEventKind::Cleaned, StopProgress::NotStopped) if self.cleanups > 1 => {
                StopProgress::Exited
            }
            (ObjectEventKind::Signaled, StopProgress::NotStopped) => StopProgress::Signaled,
            (ObjectEventKind::Exited, StopProgress::Signaled)
            | (ObjectEventKind::Stopped, StopProgress::NotStopped | StopProgress::Signaled) => {
                StopProgress::Exited
            }
            // A user cannot start a removed container again: treat it as missing.
            (ObjectEventKind::Started | ObjectEventKind::Removed, _) => StopProgress::NotStopped,
            (_, stopped) => stopped,
        };
    }

    /// Discards signals before an engine shutdown: the engine sent them, unless the stop was
    /// already attributed to a user.
    fn discard_signals(&mut self) {
        if self.stopped != StopProgress::ByUser {
            self.stopped = StopProgress::NotStopped;
        }
    }
}

/// Watches until a request to stop.
///
/// # Errors
///
/// If there is nothing to watch, or a repair is interrupted.
pub(crate) async fn watch(
    order: &RequestContext<'_>,
    instances: &[String],
    patience: RepairLimit,
) -> Result<(), Error> {
    let record = order.workspace.record(&order.deployment)?;
    let mut watch = Watch {
        order,
        workspace: order.workspace,
        name: &order.deployment,
        instances,
        patience,
        states: HashMap::new(),
        query_error: None,
        unseen: BTreeSet::new(),
    };
    let targets = targets(order.workspace, &record, instances)?;
    watch.report(&format!("watching {}", count(targets.len(), "container")));
    watch.run().await
}

struct Watch<'a> {
    order: &'a RequestContext<'a>,
    workspace: &'a Workspace<'a>,
    name: &'a str,
    instances: &'a [String],
    patience: RepairLimit,
    states: HashMap<String, Watched>,
    /// The last reported reason why the engine cannot be queried.
    query_error: Option<String>,
    /// The engines that did not respond to the last check.
    unseen: BTreeSet<String>,
}

/// The event stream and the time of the next check.
struct EventSource {
    /// Events of the engines; `None` while no engine accepts a subscription.
    events: Option<ObjectEvents>,
    check_at: Instant,
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
        let mut attention = EventSource {
            events: None,
            check_at: Instant::now(),
        };
        loop {
            let unhealthy = tokio::select! {
                unhealthy = self.next_repairs(&drivers, &mut attention) => unhealthy?,
                () = stop_requests.wait_for_stop() => return Ok(()),
            };
            if self.repair(unhealthy).await? {
                attention.check_at = attention.check_at.min(Instant::now() + EVENT_DELAY);
            }
        }
    }

    /// Returns the instances to repair next, each with the reason.
    async fn next_repairs(
        &mut self,
        drivers: &Drivers<'_>,
        attention: &mut EventSource,
    ) -> Result<Vec<(String, String)>, Error> {
        loop {
            let Some(events) = &mut attention.events else {
                self.resubscribe(drivers, attention).await?;
                continue;
            };
            tokio::select! {
                // Apply pending events before checking.
                biased;
                happening = events.next() => if let Some(happening) = happening {
                    self.apply(&happening);
                    attention.check_at = attention.check_at.min(Instant::now() + EVENT_DELAY);
                } else {
                    // The engine stopped or restarted.
                    attention.events = None;
                    self.states.values_mut().for_each(Watched::discard_signals);
                    tokio::time::sleep(RETRY_PAUSE).await;
                },
                () = tokio::time::sleep_until(attention.check_at) => {
                    let before = self.unseen.clone();
                    let (unhealthy, next) = self.check(drivers).await?;
                    attention.check_at = next;
                    if before != self.unseen {
                        attention.events = None;
                    }
                    if !unhealthy.is_empty() {
                        return Ok(unhealthy);
                    }
                }
            }
        }
    }

    async fn resubscribe(
        &mut self,
        drivers: &Drivers<'_>,
        attention: &mut EventSource,
    ) -> Result<(), Error> {
        match self.subscribe(drivers).await {
            Ok(events) => attention.events = Some(events),
            Err(error) if error.kind == Kind::Engine => {
                self.report_query_error(&error);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
        attention.check_at = Instant::now();
        Ok(())
    }

    /// Reports a failed query. The same reason is reported only once until the engine responds.
    fn report_query_error(&mut self, error: &Error) {
        if self.query_error.as_ref() != Some(&error.message) {
            self.report(&format!("cannot query the engine: {}", error.message));
            self.query_error = Some(error.message.clone());
        }
    }

    /// Subscribes to the events of the deployment.
    async fn subscribe(&self, drivers: &Drivers<'_>) -> Result<ObjectEvents, Error> {
        let record = self.workspace.record(self.name)?;
        let mut places = ObjectPlaces::new();
        for InstanceObject {
            instance,
            reached: place,
        } in targets(self.workspace, &record, self.instances)?
        {
            places.insert(instance, place.into());
        }
        Ok(drivers.events(self.name, &places).await?)
    }

    fn apply(&mut self, happening: &ObjectEvent) {
        tracing::debug!(instance = happening.instance, what = ?happening.kind, "engine event");
        self.states
            .entry(happening.instance.clone())
            .or_default()
            .apply(happening.kind);
    }

    /// Reports the instances that a user stopped. The engine must still accept connections:
    /// otherwise it may have stopped them itself. This runs after a delay, because removing a
    /// container stops it first. Returns true if the cause of all stops is known.
    async fn report_stopped(&mut self, drivers: &Drivers<'_>, record: &Record) -> bool {
        let dead = self
            .states
            .iter()
            .filter(|(_, watched)| watched.stopped == StopProgress::Exited);
        let dead: Vec<String> = dead.map(|(id, _)| id.clone()).collect();
        if dead.is_empty() || self.patience.heals_stopped {
            return true;
        }
        let mut is_known = true;
        for target in targets(self.workspace, record, &[])
            .unwrap_or_default()
            .into_iter()
            .filter(|target| dead.contains(&target.instance))
        {
            if drivers.accepts_connections(&target.reached).await {
                self.states
                    .entry(target.instance.clone())
                    .or_default()
                    .stopped = StopProgress::ByUser;
                self.report(&format!(
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
    async fn check(
        &mut self,
        drivers: &Drivers<'_>,
    ) -> Result<(Vec<(String, String)>, Instant), Error> {
        let record = self.workspace.record(self.name)?;
        let is_known = self.report_stopped(drivers, &record).await;
        let now = Instant::now();
        if !record.is_installed() {
            return Err(Error::new(
                Kind::Failed,
                format!("`{}` was uninstalled: nothing left to watch", self.name),
            ));
        }
        let (unhealthy, unseen) = match self.instances_to_repair(drivers, &record).await {
            Ok(found) => found,
            Err(error) => {
                self.report_query_error(&error);
                return Ok((Vec::new(), Instant::now() + RETRY_PAUSE));
            }
        };
        self.query_error = None;
        self.report_unseen(&unseen);
        let mut next = now
            + match (is_known, unseen.is_empty()) {
                (false, _) => EVENT_DELAY,
                (true, false) => UNSEEN_INTERVAL.min(self.patience.check_interval),
                (true, true) => self.patience.check_interval,
            };
        let mut due = Vec::new();
        for (id, watched) in &mut self.states {
            if !unhealthy.iter().any(|(unhealthy, _)| unhealthy == id) {
                watched.unhealthy_since = None;
            }
        }
        for (id, why) in unhealthy {
            let watched = self.states.entry(id.clone()).or_default();
            let reason_known = watched.reason_known_at(now);
            match watched
                .next_repair_at(self.patience, now)
                .map(|at| at.max(reason_known))
            {
                Some(at) if at <= now => due.push((id, why)),
                Some(at) => next = next.min(at),
                None if !watched.is_reported_exhausted => {
                    watched.is_reported_exhausted = true;
                    let (times, name) = (self.patience.budget, self.name);
                    self.report(&format!(
                        "{id} needs another repair ({why}), but its repair budget is exhausted (per hour: {times}); automatic repairs resume one hour \
                         after the first; see its logs: dockctl logs {id} -d {name}; repair it now: dockctl heal {id} -d {name}"
                    ));
                }
                None => {}
            }
        }
        Ok((due, next))
    }

    /// Reports the engines that stopped responding, or respond again.
    fn report_unseen(&mut self, unseen: &[Unseen]) {
        let now: BTreeSet<String> = unseen.iter().map(|it| it.engine.clone()).collect();
        for it in unseen.iter().filter(|it| !self.unseen.contains(&it.engine)) {
            let (engine, reason) = (&it.engine, &it.reason.message);
            let instances = it.instances.join(", ");
            self.report(&format!(
                "the engine `{engine}` does not respond, {instances} cannot be checked: {reason}"
            ));
        }
        for engine in self.unseen.difference(&now) {
            self.report(&format!("the engine `{engine}` responds again"));
        }
        self.unseen = now;
    }

    /// Returns the IDs of the instances to repair, each with the reason, and the engines that do
    /// not respond. Excludes stopped instances.
    async fn instances_to_repair(
        &self,
        drivers: &Drivers<'_>,
        record: &Record,
    ) -> Result<(Vec<(String, String)>, Vec<Unseen>), Error> {
        let Some(deployment) = &record.deployment else {
            return Ok((Vec::new(), Vec::new()));
        };
        let observed = self.workspace.observe(drivers, deployment, record).await?;
        let selection = select_instances(self.instances, record)?;
        let known = PlanInput::new(deployment, record, &observed);
        let parameters = Parameters::Heal(heal_parameters(selection, record));
        let proposal = plan::first(&parameters, &known);
        let tasks = proposal
            .stage
            .tasks()
            .iter()
            .filter(|task| task.operation != "check_status");
        let mut unhealthy: Vec<(String, String)> = tasks
            .map(|task| (task.instance.clone(), task.cause.clone()))
            .collect();
        let mut seen = HashSet::new();
        // An instance that received a signal may exit soon: wait for the event.
        let is_stopped = |id: &str| {
            let state = self.states.get(id);
            !self.patience.heals_stopped
                && state.is_some_and(|watched| watched.stopped != StopProgress::NotStopped)
        };
        unhealthy.retain(|(id, _)| seen.insert(id.clone()) && !is_stopped(id));
        Ok((unhealthy, observed.unseen))
    }

    /// Repairs instances. Returns true if another check should follow soon.
    async fn repair(&mut self, unhealthy: Vec<(String, String)>) -> Result<bool, Error> {
        for (id, why) in &unhealthy {
            self.report(&format!("{id} needs repair: {why}"));
        }
        let ids: Vec<String> = unhealthy.into_iter().map(|(id, _)| id).collect();
        let selection = Selection::of_instances(ids.iter().cloned());
        let done = Box::pin(self.order.execute(&Request::HealOnly(selection))).await;
        let at = Instant::now();
        match done {
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) if error.kind == Kind::Busy => {
                self.report("another run is using the deployment");
                return Ok(false);
            }
            Err(error) => self.workspace.caller.notify(&Notice::RepairFailed(&error)),
            Ok(executed) => {
                if matches!(executed.work, Work::Ran) {
                    let ignored = Notice::IgnoredFailures(&executed.record);
                    self.workspace.caller.notify(&ignored);
                }
                self.report(&format!("repaired: {}", ids.join(", ")));
            }
        }
        for id in ids {
            self.states.entry(id).or_default().repairs.push_back(at);
        }
        Ok(true)
    }

    fn report(&self, words: &str) {
        self.workspace.caller.notify(&Notice::Watch {
            deployment: self.name,
            message: words.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: RepairLimit = RepairLimit {
        budget: 2,
        cool_down: Duration::from_secs(10),
        check_interval: CHECK_INTERVAL,
        heals_stopped: false,
    };

    #[test]
    fn repairs_are_limited_per_hour_and_spaced_by_the_cool_down() {
        let (start, mut watched) = (Instant::now(), Watched::default());
        assert_eq!(watched.next_repair_at(PATIENCE, start), Some(start));
        watched.repairs.push_back(start);
        assert_eq!(
            watched.next_repair_at(PATIENCE, start),
            Some(start + PATIENCE.cool_down)
        );
        watched.repairs.push_back(start + PATIENCE.cool_down);
        assert_eq!(
            watched.next_repair_at(PATIENCE, start + BUDGET_PERIOD),
            None,
            "the budget is exhausted"
        );
        let later = start + BUDGET_PERIOD + Duration::from_secs(5);
        assert_eq!(
            watched.next_repair_at(PATIENCE, later),
            Some(start + PATIENCE.cool_down * 2),
            "the first repair no longer counts"
        );
    }

    #[test]
    fn signaled_instance_that_exits_is_ignored_until_it_starts() {
        let mut watched = Watched::default();
        watched.apply(ObjectEventKind::Exited);
        assert_eq!(
            watched.stopped,
            StopProgress::NotStopped,
            "it exited by itself"
        );
        watched.apply(ObjectEventKind::Started);
        watched.apply(ObjectEventKind::Signaled);
        assert_eq!(
            watched.stopped,
            StopProgress::Signaled,
            "it may survive the signal"
        );
        watched.apply(ObjectEventKind::Exited);
        assert_eq!(watched.stopped, StopProgress::Exited);
        watched.apply(ObjectEventKind::Started);
        assert_eq!(watched.stopped, StopProgress::NotStopped);
        watched.apply(ObjectEventKind::Signaled);
        watched.apply(ObjectEventKind::Exited);
        watched.apply(ObjectEventKind::Removed);
        assert_eq!(
            watched.stopped,
            StopProgress::NotStopped,
            "a removed instance is missing"
        );
    }

    #[test]
    fn stop_is_recognized_in_the_event_order_of_every_engine() {
        let noted = |all: &[ObjectEventKind]| {
            let mut watched = Watched::default();
            for what in all {
                watched.apply(*what);
            }
            watched.stopped
        };
        assert_eq!(
            noted(&[
                ObjectEventKind::Signaled,
                ObjectEventKind::Exited,
                ObjectEventKind::Stopped
            ]),
            StopProgress::Exited,
            "Docker"
        );
        assert_eq!(
            (
                noted(&[ObjectEventKind::Stopped, ObjectEventKind::Exited]),
                noted(&[ObjectEventKind::Exited, ObjectEventKind::Stopped])
            ),
            (StopProgress::Exited, StopProgress::Exited),
            "Podman"
        );
        assert_eq!(
            noted(&[
                ObjectEventKind::Exited,
                ObjectEventKind::Cleaned,
                ObjectEventKind::Cleaned
            ]),
            StopProgress::Exited,
            "Podman, which sometimes omits the stop event"
        );
        assert_eq!(
            noted(&[
                ObjectEventKind::Exited,
                ObjectEventKind::Cleaned,
                ObjectEventKind::Started,
                ObjectEventKind::Exited,
                ObjectEventKind::Cleaned
            ]),
            StopProgress::NotStopped,
            "it exited twice by itself"
        );
        assert_eq!(
            noted(&[
                ObjectEventKind::Stopped,
                ObjectEventKind::Exited,
                ObjectEventKind::Started
            ]),
            StopProgress::NotStopped
        );
    }

    #[test]
    fn signals_of_an_engine_shutdown_are_discarded() {
        let mut watched = Watched::default();
        watched.apply(ObjectEventKind::Signaled);
        watched.apply(ObjectEventKind::Exited);
        watched.discard_signals();
        assert_eq!(watched.stopped, StopProgress::NotStopped);
        watched.stopped = StopProgress::ByUser;
        watched.discard_signals();
        assert_eq!(
            watched.stopped,
            StopProgress::ByUser,
            "a stop by a user survives an engine restart"
        );
    }
}

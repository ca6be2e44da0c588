//! Drivers: they run the steps of a plugin on its systems and observe objects.

use super::{Guard, ObjectPlaces};
use crate::{
    discovery::Discovery,
    instance_record::InstanceRecord,
    model::{Deployment, Difference},
    record::Record,
    seam::{
        Call, Command, Failure, ForeignSharers, LabeledObject, Log, LogOptions, ObjectEvent,
        ObjectRef, ObjectState, Observed, Outputs, Presence, Settled, Step, StepNote, Streams,
        Target,
    },
    secrets::Secrets,
};
use futures_util::stream::LocalBoxStream;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
};

/// The future result of a driver method.
pub type DriverFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// Receives the messages of a running step. Changes are in the journal once the returned future
/// completes.
pub type NoteSink<'a> = &'a dyn Fn(StepNote) -> Processed;

/// Completes once a message was processed.
pub type Processed = Pin<Box<dyn Future<Output = ()>>>;

/// The context of an observation.
#[derive(Clone, Copy)]
pub struct ObserveContext<'a> {
    /// The declared deployment.
    pub deployment: &'a Deployment,
    /// The record of the deployment.
    pub record: &'a Record,
    /// Secrets for late values.
    pub secrets: &'a Secrets,
}

/// Runs commands in the objects of a plugin and reads their logs.
pub trait Shell {
    /// Returns the presence of an object, or `None` if it does not exist.
    fn presence<'a>(&'a self, place: &'a ObjectRef) -> DriverFuture<'a, Option<Presence>>;

    /// Returns the name of an object's engine, as in observations.
    fn engine_name(&self, place: &ObjectRef) -> String;

    /// Runs a command until it exits. Returns its exit code, or none if the output was not read to
    /// the end.
    fn run<'a>(
        &'a self,
        place: &'a ObjectRef,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> DriverFuture<'a, Option<i64>>;

    /// Returns the log of an object.
    fn log<'a>(&'a self, place: &'a ObjectRef, _excerpt: LogOptions) -> DriverFuture<'a, Log> {
        let nothing = format!("no log is available for `{}`", place.object);
        Box::pin(async { Err(Failure::fatal(nothing)) })
    }
}

/// A stream of object events.
pub type ObjectEvents = LocalBoxStream<'static, ObjectEvent>;

/// Watches the objects of a plugin.
pub trait Watch {
    /// Streams the events of a deployment's objects from now on. The stream ends when a connection
    /// is lost.
    fn events<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
    ) -> DriverFuture<'a, ObjectEvents>;

    /// Returns true if a system accepts new connections. A system that is shutting down does not,
    /// but still sends events to existing subscribers while it stops its objects.
    fn accepts_connections<'a>(
        &'a self,
        target: &'a Target,
    ) -> Pin<Box<dyn Future<Output = bool> + 'a>>;
}

/// An existing object that could be adopted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// It runs. Install starts an adopted object that does not.
    pub is_running: bool,
    /// The deployment that created it, if any; such an object is skipped.
    pub owner: Option<String>,
}

/// Adoptable objects and a blueprint for them.
#[derive(Clone, Debug)]
pub struct Adoptable {
    /// Objects found.
    pub found: Vec<Candidate>,
    /// A blueprint for the objects that no deployment created.
    pub blueprint: Json,
    /// What the blueprint leaves out, one line each.
    pub left_out: Vec<String>,
}

/// Describes existing objects.
pub trait Adopter {
    /// Describes objects that have one of these names or IDs or match the filters.
    fn describe<'a>(
        &'a self,
        names: &'a [String],
        filters: Option<&'a [(String, String)]>,
    ) -> DriverFuture<'a, Adoptable>;
}

/// Selects objects.
#[derive(Clone, Debug, Default)]
pub struct ObjectFilter {
    /// Labels that they must have; without a value, any value.
    pub labels: Vec<(String, Option<String>)>,
    /// States that they must be in; empty for all states.
    pub states: Vec<ObjectState>,
    /// Beginning of their IDs.
    pub id: Option<String>,
}

/// Finds objects by their labels, whoever created them.
pub trait ObjectIndex {
    /// Fails fast, with the reason, if the system cannot be reached now.
    fn check<'a>(&'a self, target: &'a Target) -> DriverFuture<'a, ()>;

    /// Lists objects, the newest first.
    fn list<'a>(
        &'a self,
        target: &'a Target,
        filter: &'a ObjectFilter,
    ) -> DriverFuture<'a, Vec<LabeledObject>>;

    /// Returns the object with a name, an ID, or the beginning of an ID.
    fn find<'a>(
        &'a self,
        target: &'a Target,
        name: &'a str,
    ) -> DriverFuture<'a, Option<LabeledObject>>;

    /// Returns the system's own description of an object.
    fn describe<'a>(&'a self, target: &'a Target, id: &'a str) -> DriverFuture<'a, Option<Json>>;

    /// Returns the state of an instance that gets this existing object; `None` if it is gone.
    fn take_over<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
    ) -> DriverFuture<'a, Option<InstanceRecord>>;

    /// Returns the last lines of the log of an object that has exited.
    fn last_log_lines<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
    ) -> DriverFuture<'a, Vec<String>>;
}

/// The object that a step runs in, with its shell.
#[derive(Clone, Copy)]
pub struct StepShell<'a> {
    /// The shell of the driver that the object belongs to.
    pub shell: &'a dyn Shell,
    /// The object.
    pub place: &'a ObjectRef,
}

/// The context of a step for its driver.
#[derive(Clone, Copy)]
pub struct StepContext<'a> {
    /// Receives the messages of the step.
    pub notes: NoteSink<'a>,
    /// The object that the step runs in, if it names one.
    pub inside: Option<StepShell<'a>>,
    /// The secrets of the deployment.
    pub secrets: &'a Secrets,
}

/// A plugin with its connections, created for one run.
pub trait Driver {
    /// Runs one step. It must be idempotent: after a crash, a step can run a second time.
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs>;

    /// Called when the time limit of a call has passed, and the call was dropped: waits until
    /// nothing of it runs any more, and returns its outcome. `NotDone` means that it was ended.
    fn abandon<'a>(
        &'a self,
        _call: &'a Call,
        _inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async { Ok(Settled::Unknown) })
    }

    /// Called when the outcome of a call is in the journal: whatever the driver kept to find out
    /// about a lost outcome can go.
    fn outcome_recorded<'a>(
        &'a self,
        _call: &'a Call,
        _inside: Option<StepShell<'a>>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async {})
    }

    /// Called when no step of a deployment is open: removes what earlier runs left to find out
    /// about lost outcomes.
    fn clean_up(&self, _deployment: &str) {}

    /// Settles a step whose outcome was lost: finds out whether it took effect. Changes nothing.
    /// Only the target of the step is bound. `since` is the time of the attempt, in milliseconds
    /// since 1970 UTC.
    fn settle<'a>(
        &'a self,
        _call: &'a Call,
        _since: u64,
        _inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async { Ok(Settled::NotDone) })
    }

    /// Observes the objects of a deployment at these places, and foreign objects that have names it
    /// uses. Changes nothing. Systems that do not respond are [`Observed::unseen`].
    fn observe<'a>(
        &'a self,
        _scene: ObserveContext<'a>,
        _places: &'a ObjectPlaces,
    ) -> DriverFuture<'a, Observed> {
        Box::pin(async { Ok(Observed::default()) })
    }

    /// Returns, by instance, the references of declarations that name something else now than the
    /// observed objects were created from. Changes nothing.
    fn moved<'a>(
        &'a self,
        _scene: ObserveContext<'a>,
        _places: &'a ObjectPlaces,
        _observed: &'a Observed,
    ) -> DriverFuture<'a, BTreeMap<String, Vec<Difference>>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    /// Returns the objects outside the deployment that share namespaces of these instances. `places`
    /// has all objects of the deployment. Changes nothing.
    fn foreign_sharers<'a>(
        &'a self,
        _scene: ObserveContext<'a>,
        _places: &'a ObjectPlaces,
        _instances: &'a BTreeSet<String>,
    ) -> DriverFuture<'a, Vec<ForeignSharers>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Returns, for each of these steps, the features that its system does not support. Changes
    /// nothing.
    fn unsupported_features<'a>(
        &'a self,
        steps: &'a [&'a Step],
    ) -> DriverFuture<'a, Vec<Vec<String>>> {
        Box::pin(async { Ok(vec![Vec::new(); steps.len()]) })
    }

    /// Returns warnings about systems in use that may not work with this version of dockctl.
    fn version_warnings(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// From now on, treats objects that the user took over as sealed. The record contains their
    /// IDs.
    fn trust_taken_over(&self, _record: &Record) {}

    /// Adds the claims of objects on the default system about deployments with this name.
    fn add_claims<'a>(&'a self, _told: &'a mut Discovery) -> DriverFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Returns the names of all deployments that have objects on the default system, with each
    /// with its number of objects.
    fn deployments(&self) -> DriverFuture<'_, BTreeMap<String, usize>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    /// Returns true if a connection was lost since the last call: the system may have restarted.
    fn lost_connection(&self) -> bool {
        false
    }

    /// Returns the shell for the driver's objects, if supported.
    fn as_shell(&self) -> Option<&dyn Shell> {
        None
    }

    /// Returns the watch for the driver's objects, if supported.
    fn as_watch(&self) -> Option<&dyn Watch> {
        None
    }

    /// Returns the guard against other machines, if supported.
    fn as_guard(&self) -> Option<&dyn Guard> {
        None
    }

    /// Returns the index of the driver's objects, if supported.
    fn as_index(&self) -> Option<&dyn ObjectIndex> {
        None
    }

    /// Returns the adopter of existing objects, if supported.
    fn as_adopter(&self) -> Option<&dyn Adopter> {
        None
    }
}

//! What carries the steps of a system out, and says what is there: a plugin with its connections.

use super::{Guard, Places};
use crate::{
    model::Deployment,
    record::Record,
    seam::{
        Call, Command, Excerpt, Failure, Happening, Log, Note, Observed, Outputs, Reached, Settled,
        Step, Streams, Target,
    },
    secrets::Secrets,
    told::Told,
};
use futures_util::stream::LocalBoxStream;
use serde_json::Value as Json;
use std::{collections::BTreeMap, future::Future, pin::Pin};

/// What a driver answers, sooner or later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// Takes what a step has to say while it runs. What it changed is in the journal once the answer is
/// there.
pub type Notes<'a> = &'a dyn Fn(Note) -> Heard;

/// Comes once a note was heard.
pub type Heard = Pin<Box<dyn Future<Output = ()>>>;

/// What observing looks from.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What is declared.
    pub deployment: &'a Deployment,
    /// What is known.
    pub record: &'a Record,
    /// What late values may need.
    pub secrets: &'a Secrets,
}

/// Runs commands in the objects of a plugin, and shows what they write.
pub trait Shell {
    /// Whether the object is there.
    fn has<'a>(&'a self, _place: &'a Reached) -> Answer<'a, bool> {
        Box::pin(async { Ok(true) })
    }

    /// Runs a command to its end; gives its exit code, or none if nobody read to its end.
    fn run<'a>(
        &'a self,
        place: &'a Reached,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> Answer<'a, Option<i64>>;

    /// What an object wrote.
    fn log<'a>(&'a self, place: &'a Reached, _excerpt: Excerpt) -> Answer<'a, Log> {
        let nothing = format!("nothing is kept of what `{}` writes", place.object);
        Box::pin(async { Err(Failure::fatal(nothing)) })
    }
}

/// What happens to objects, as it comes.
pub type Happenings = LocalBoxStream<'static, Happening>;

/// Tells what happens to the objects of a plugin.
pub trait Watch {
    /// What happens to those of a deployment from now on. It ends when a connection does.
    fn happenings<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
    ) -> Answer<'a, Happenings>;

    /// Whether a system takes a new connection. One that is being shut down does not, though it
    /// goes on telling those that listen already how it ends what runs on it.
    fn accepts<'a>(&'a self, target: &'a Target) -> Pin<Box<dyn Future<Output = bool> + 'a>>;
}

/// Something that exists, and could be adopted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Whether it runs; install starts what does not.
    pub runs: bool,
    /// The deployment that made it, if one did: it is left out.
    pub owner: Option<String>,
}

/// What could be adopted.
#[derive(Clone, Debug)]
pub struct Adoptable {
    /// What was found.
    pub found: Vec<Candidate>,
    /// A blueprint for those that no deployment made.
    pub blueprint: Json,
}

/// Describes what exists.
pub trait Adopter {
    /// Looks at objects: those of these names or ids, and all that filters let through.
    fn describe<'a>(
        &'a self,
        names: &'a [String],
        filters: Option<&'a [(String, String)]>,
    ) -> Answer<'a, Adoptable>;
}

/// The object that a step is carried out in, and what reaches it.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    /// Of the driver that the object belongs to.
    pub shell: &'a dyn Shell,
    /// The object.
    pub place: &'a Reached,
}

/// What a driver is handed for a step.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Takes what the step has to say.
    pub notes: Notes<'a>,
    /// What it is carried out in, if its step names that.
    pub inside: Option<Inside<'a>>,
}

/// One family of operations with its connections. One is made for a run.
pub trait Driver {
    /// Carries out one step. What was done already counts as done: after a crash a step can be
    /// asked for twice.
    fn perform<'a>(&'a self, call: &'a Call, tools: Tools<'a>) -> Answer<'a, Outputs>;

    /// Looks whether a step is done whose outcome was lost. Changes nothing. Of the call's step
    /// only the target is bound. `since` is when it was asked for, in milliseconds since 1970 UTC.
    fn settle<'a>(
        &'a self,
        _call: &'a Call,
        _since: u64,
        _inside: Option<Inside<'a>>,
    ) -> Answer<'a, Settled> {
        Box::pin(async { Ok(Settled::NotDone) })
    }

    /// Says what exists of a deployment at these places, and what stands where it wants to be.
    /// Changes nothing.
    fn observe<'a>(&'a self, _scene: Scene<'a>, _places: &'a Places) -> Answer<'a, Observed> {
        Box::pin(async { Ok(Observed::default()) })
    }

    /// For each of these steps, what of it its system is too old for. Changes nothing.
    fn refusals<'a>(&'a self, steps: &'a [&'a Step]) -> Answer<'a, Vec<Vec<String>>> {
        Box::pin(async { Ok(vec![Vec::new(); steps.len()]) })
    }

    /// The first contact with every system that is known by now, so that one which does not answer
    /// is told before anything begins.
    fn reach<'a>(&'a self, _places: &'a Places) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// From here on, what the user took over is as good as sealed: the ids are those of the record.
    fn trust(&self, _record: &Record) {}

    /// Adds what objects on the default system tell of the deployments of a name.
    fn tell<'a>(&'a self, _told: &'a mut Told) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Names of the deployments that something on the default system carries, each with the number
    /// of such objects.
    fn deployments(&self) -> Answer<'_, BTreeMap<String, usize>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    /// Whether a connection was lost since this was last asked: a system may have been restarted.
    fn was_cut(&self) -> bool {
        false
    }

    /// What runs commands in its objects, if anything can.
    fn as_shell(&self) -> Option<&dyn Shell> {
        None
    }

    /// What tells of its objects, if anything does.
    fn as_watch(&self) -> Option<&dyn Watch> {
        None
    }

    /// What keeps other machines off, if anything does.
    fn as_guard(&self) -> Option<&dyn Guard> {
        None
    }

    /// What describes objects that exist, if anything does.
    fn as_adopter(&self) -> Option<&dyn Adopter> {
        None
    }
}

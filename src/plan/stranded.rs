//! Stopped objects outside the deployment that use an object which a stage removes. They do not
//! prevent the removal, but cannot start after it.

use super::PlanInput;
use crate::{
    seam::{Effect, Object},
    stage::Stage,
};
use serde::Serialize;
use std::fmt;

/// Stopped objects outside the deployment that cannot start after an object is removed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Stranded {
    /// ID of the instance whose object is removed.
    pub instance: String,
    /// Names of the objects that use it.
    pub objects: Vec<String>,
}

impl fmt::Display for Stranded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, objects } = self;
        let names = objects.join("`, `");
        let uses = if objects.len() == 1 { "uses" } else { "use" };
        write!(
            f,
            "`{names}`, outside this deployment and stopped, {uses} the network of {instance}, and cannot start after it is removed"
        )
    }
}

/// Returns the objects that a stage strands.
pub(super) fn find(known: &PlanInput<'_>, stage: &Stage) -> Vec<Stranded> {
    let removed = |object: &Object| {
        let instance = &object.owner.as_ref()?.instance;
        let mut tasks = stage.tasks().iter();
        let is_removed =
            tasks.any(|it| it.instance == *instance && it.step.effect() == Effect::Removes);
        let objects = object.stopped_users.clone();
        is_removed.then(|| Stranded {
            instance: instance.clone(),
            objects,
        })
    };
    let objects = known.observed.objects().iter();
    let objects = objects.filter(|it| !it.stopped_users.is_empty());
    objects.filter_map(removed).collect()
}

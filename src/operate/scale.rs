//! Scaling: selects the instances to add and remove.

use super::{
    error::{Error, Kind},
    execute::{select_instances, unknown_name},
    single_holder,
};
use crate::{
    event,
    model::{self, Deployment, Instance, ScalingError, ScalingResult, Structure},
    plan,
    record::Record,
    stage::{Parameters, parameters::Scale},
};
use std::collections::BTreeSet;

/// A request to add or remove instances.
#[derive(Clone, Debug)]
pub(crate) struct Scaling {
    /// Node or scaling group.
    pub entity: String,
    /// Desired number of instances.
    pub number: Number,
    /// Instances to remove first, by ID, node or object.
    pub remove: Vec<String>,
    /// Instances to keep.
    pub keep: Vec<String>,
    /// Continue after failed operations while instances are removed.
    pub ignore_failure: bool,
    /// Remove the added instances if something fails.
    pub rollback: bool,
}

/// A number of instances, per instance of the node or group that contains them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// Absolute number.
    To(u32),
    /// Difference from the present number.
    By(i64),
}

impl Scaling {
    /// Returns the parameters of the workflow for the present record.
    pub(crate) fn parameters(&self, record: &Record) -> Result<Scale, Error> {
        let Some(deployment) = &record.deployment else {
            return Err(Error::usage("nothing to scale"));
        };
        let current = deployment.instance_count(&self.entity);
        let current = current.ok_or_else(|| unknown_entity(&self.entity, deployment))?;
        let current = i64::try_from(current).unwrap_or(i64::MAX);
        let ids = |names: &[String]| {
            select_instances(names, record).map(|chosen| chosen.instance_ids().to_vec())
        };
        Ok(Scale {
            scalable_entity_name: self.entity.clone(),
            delta: match self.number {
                Number::To(to) => i64::from(to) - current,
                Number::By(delta) => delta,
            },
            include_instances: ids(&self.remove)?,
            exclude_instances: ids(&self.keep)?,
            ignore_failure: self.ignore_failure,
            rollback_if_failed: self.rollback,
            ..Scale::default()
        })
    }
}

fn unknown_entity(name: &str, deployment: &Deployment) -> Error {
    let groups = deployment.structure.groups.keys();
    let known = deployment.nodes.keys().chain(groups);
    let known: Vec<&str> = known.map(String::as_str).collect();
    unknown_name("node or scaling group", name, &known)
}

/// Returns the deployment with the added instances, and stores the added and removed instances in
/// the parameters. Reuses the instances of an unfinished run with the same parameters.
pub(crate) fn apply(
    deployment: Deployment,
    parameters: &mut Scale,
    record: &Record,
    random: &mut fastrand::Rng,
) -> Result<Deployment, Error> {
    if let Some(started) = unfinished(record, parameters) {
        (parameters.added, parameters.removed) = started;
        return Ok(deployment);
    }
    let scaling = scaling(&deployment, parameters, record)?;
    let scaled = deployment.scale(&scaling, random);
    let scaled = scaled.map_err(|error| match error {
        ScalingError::Unknown(name) => unknown_entity(&name, &deployment),
        other => Error::usage(other.to_string()),
    })?;
    refuse_single_holders(&deployment, &scaled)?;
    refuse_same_names(&deployment, &scaled)?;
    (parameters.added, parameters.removed) = (scaled.added, scaled.removed);
    let structure = Structure {
        emptied: scaled.emptied,
        ..deployment.structure
    };
    Ok(Deployment {
        instances: scaled.instances,
        structure,
        ..deployment
    })
}

/// Returns the instances that the last run added and removed, if that run had the same parameters,
/// did not finish and was not rolled back. The new run resumes it.
fn unfinished(record: &Record, requested: &Scale) -> Option<(Vec<String>, Vec<String>)> {
    let last = record.executions.last();
    let last = last.filter(|last| last.outcome != Some(event::Outcome::Terminated))?;
    let Parameters::Scale(started) = &*last.parameters else {
        return None;
    };
    let deployment = record.deployment.as_ref()?;
    let is_there = |id: &String| deployment.instance(id).is_some();
    let removed: Vec<String> = started
        .removed
        .iter()
        .filter(|id| is_there(id))
        .cloned()
        .collect();
    let is_resumable = has_same_parameters(started, requested)
        && started.added.iter().all(is_there)
        && !(started.added.is_empty() && removed.is_empty());
    is_resumable.then(|| (started.added.clone(), removed))
}

/// Returns true if two requests have the same parameters.
fn has_same_parameters(one: &Scale, other: &Scale) -> bool {
    one.scalable_entity_name == other.scalable_entity_name
        && one.delta == other.delta
        && one.include_instances == other.include_instances
        && one.exclude_instances == other.exclude_instances
        && one.scale_compute == other.scale_compute
}

fn scaling(
    deployment: &Deployment,
    parameters: &Scale,
    record: &Record,
) -> Result<model::ScalingRequest, Error> {
    let entity = entity(deployment, parameters)?;
    refuse_adopted(deployment, &entity)?;
    let set = |ids: &[String]| ids.iter().cloned().collect();
    let mut include: BTreeSet<String> = set(&parameters.include_instances);
    if include.is_empty() && parameters.delta < 0 {
        include = interrupted_instances(deployment, &entity, parameters, record);
    }
    Ok(model::ScalingRequest {
        entity,
        delta: parameters.delta,
        include,
        exclude: set(&parameters.exclude_instances),
    })
}

/// Returns the name of the node or group to scale; with `scale_compute`, of the node's host.
fn entity(deployment: &Deployment, parameters: &Scale) -> Result<String, Error> {
    let name = parameters.scalable_entity_name.clone();
    if !parameters.scale_compute || deployment.structure.groups.contains_key(&name) {
        return Ok(name);
    }
    if !parameters.include_instances.is_empty() || !parameters.exclude_instances.is_empty() {
        return Err(Error::usage(
            "instances to remove or keep cannot be combined with scale_compute",
        ));
    }
    let mut instances = deployment.instances.iter();
    let one = instances.find(|it| it.node == name);
    let host = one.and_then(|it| deployment.instance(it.host.as_deref()?));
    Ok(host.map_or(name, |host| host.node.clone()))
}

fn refuse_adopted(deployment: &Deployment, entity: &String) -> Result<(), Error> {
    let members = deployment.structure.groups.get(entity);
    let mut nodes = members.into_iter().flatten().chain([entity]);
    let is_adopted = |name: &&String| {
        let node = deployment.nodes.get(*name);
        node.is_some_and(|node| node.is_adopted())
    };
    match nodes.find(is_adopted) {
        Some(node) => Err(Error::usage(format!(
            "cannot scale `{node}`: it is adopted"
        ))),
        None => Ok(()),
    }
}

/// Returns the instances that an interrupted run stopped, to remove them before running ones.
fn interrupted_instances(
    deployment: &Deployment,
    entity: &str,
    parameters: &Scale,
    record: &Record,
) -> BTreeSet<String> {
    let is_half_done = |it: &&Instance| {
        it.node == entity
            && plan::scale::is_unfinished(record, &it.id)
            && !parameters.exclude_instances.contains(&it.id)
    };
    let limit = usize::try_from(parameters.delta.unsigned_abs()).unwrap_or(usize::MAX);
    let instances = deployment.instances.iter().filter(is_half_done);
    instances.take(limit).map(|it| it.id.clone()).collect()
}

fn refuse_same_names(deployment: &Deployment, scaled: &ScalingResult) -> Result<(), Error> {
    let same = single_holder::same_names(deployment, &scaled.instances);
    let is_added = |instance: &Instance| scaled.added.contains(&instance.id);
    let mut added = same.iter().filter(|it| is_added(it.0) || is_added(it.1));
    let Some((instance, other, name)) = added.next() else {
        return Ok(());
    };
    let message = format!(
        "cannot scale `{}`: its instance {} is called `{name}`, like node `{}`",
        instance.node, instance.index, other.node
    );
    Err(Error::new(Kind::Invalid, message).hint("give one of the two nodes another `name`"))
}

fn refuse_single_holders(deployment: &Deployment, scaled: &ScalingResult) -> Result<(), Error> {
    let added = scaled.instances.iter();
    let added = added.filter(|it| scaled.added.contains(&it.id));
    let nodes: BTreeSet<&str> = added.map(|it| it.node.as_str()).collect();
    let fixed = |node| Some((node, single_holder::single(deployment, node)?));
    let Some((node, resource)) = nodes.into_iter().find_map(fixed) else {
        return Ok(());
    };
    let message = format!("cannot scale `{node}`: only one object can have {resource}");
    Err(Error::new(Kind::Invalid, message).hint(single_holder::ADVICE))
}

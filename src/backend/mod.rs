//! What carries steps out, and what planning asks about the systems that it plans for.

pub mod simulated;

use crate::{
    diagnostic::Diagnostics,
    engine::Kind,
    known::InstanceRecord,
    model::{Blueprint, Definition, Deployment, Instance, InstanceState, Planned},
    plugins::docker,
    record::{Around, Record},
    seam::{
        Call, Change, Failure, Need, Object, ObjectState, Observed, Outputs, ProgressSink, Purpose,
        Standing, Step, Target,
    },
    secrets::Secrets,
    stage::{Stage, TaskId},
};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::{collections::HashMap, future::Future};

/// Carries out steps and says what exists.
pub trait Backend {
    /// Runtime properties that may repeat what a container wrote: what cannot be searched for
    /// secrets is left out whole.
    fn untrusted(&self) -> &'static [&'static str] {
        &docker::HEARSAY
    }

    /// Carries out one step. What was done already counts as done: after a crash a step can be
    /// asked for twice.
    fn perform(
        &self,
        call: &Call,
        progress: ProgressSink<'_>,
    ) -> impl Future<Output = Result<Outputs, Failure>>;

    /// Looks whether a step is done whose outcome was lost: what it changed if it is; none if it is
    /// not, or if it looks itself when it is carried out again. Changes nothing. Of the call's step
    /// only the engine is bound. `since` is when it was asked for, in milliseconds since 1970 UTC.
    fn settle(
        &self,
        call: &Call,
        since: u64,
    ) -> impl Future<Output = Result<Option<Outputs>, Failure>>;

    /// The tasks of a stage that ask for what their engine is too old for, in words. Changes
    /// nothing.
    fn too_old_for(
        &self,
        _stage: &Stage,
    ) -> impl Future<Output = Result<Vec<(TaskId, String)>, Failure>> {
        std::future::ready(Ok(Vec::new()))
    }

    /// Says what exists of a deployment, and what stands where it wants to be. Changes nothing.
    fn observe(
        &self,
        deployment: &Deployment,
        places: &Places,
    ) -> impl Future<Output = Result<Observed, Failure>>;
}

/// Where the object of an instance is, and which it is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// Its engine.
    pub engine: Target,
    /// Its id, as the record has it.
    pub object: Option<String>,
}

/// For each instance that has an object where that is.
pub type Places = IndexMap<String, Whereabouts>;

/// On which engine the objects of each instance are. One that cannot be told yet is left out:
/// nothing of the instance exists.
///
/// # Errors
///
/// If it cannot be told of an instance whose object exists.
pub fn places(
    deployment: &Deployment,
    record: &Record,
    secrets: &Secrets,
) -> Result<Places, String> {
    let mut places = Places::new();
    for instance in &deployment.instances {
        let Some(engine) = docker::engine_of(deployment, instance) else {
            continue;
        };
        let object = deployment
            .node(instance)
            .and_then(|node| docker::known_id(record, instance, node))
            .map(str::to_owned);
        match engine.bind(&Around {
            record,
            me: Some(&instance.id),
            secrets,
        }) {
            Ok(engine) => drop(places.insert(instance.id.clone(), Whereabouts { engine, object })),
            Err(message) if object.is_some() => {
                return Err(format!("`{}`: {message}", instance.id));
            }
            Err(_) => {}
        }
    }
    Ok(places)
}

/// Says what exists of a deployment and what stands where it wants to be, and whether it is as
/// declared. Changes nothing.
///
/// # Errors
///
/// If an engine does not answer, or it cannot be told which one an object is on.
pub async fn look<B: Backend>(
    backend: &B,
    deployment: &Deployment,
    record: &Record,
    secrets: &Secrets,
) -> Result<Observed, Failure> {
    let places = places(deployment, record, secrets).map_err(Failure::fatal)?;
    let mut observed = backend.observe(deployment, &places).await?;
    for object in &mut observed.objects {
        let me = object.owner.as_ref().map(|owner| owner.instance.clone());
        docker::judge(
            object,
            deployment,
            &Around {
                record,
                me: me.as_deref(),
                secrets,
            },
        );
    }
    Ok(observed)
}

/// The steps of an operation, made for a purpose; none if nothing here can run it.
#[must_use]
pub fn lower(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    (name, operation): (&str, &Planned),
    purpose: &Purpose<'_>,
) -> Option<Vec<Step>> {
    if let Some(simulated) = simulated::lower(name, operation) {
        return Some(vec![simulated.step()]);
    }
    docker::lower(deployment, instance, node, name, operation, purpose)
}

/// The steps of an operation of a relationship, called `side/interface.operation`; none if nothing
/// here can run it.
#[must_use]
pub fn lower_relationship(name: &str, operation: &Planned) -> Option<Vec<Step>> {
    simulated::lower(name, operation).map(|simulated| vec![simulated.step()])
}

/// Whether steps of this plugin can be carried out here.
#[must_use]
pub fn has_plugin(id: &str) -> bool {
    id == docker::ID || id == simulated::PLUGIN
}

/// Files that a step needs.
#[must_use]
pub fn files(step: &Step) -> Vec<Need> {
    docker_action(step).map_or_else(Vec::new, |action| action.files())
}

/// Whether a step has nothing to do for an object that ran: it only makes what never did.
#[must_use]
pub fn is_done_by_running(step: &Step, object: Option<&Object>) -> bool {
    let ran = object.is_some_and(|object| object.state != ObjectState::Created);
    ran && matches!(docker_action(step), Some(docker::Action::Recreate(_)))
}

fn docker_action(step: &Step) -> Option<docker::Action> {
    (step.plugin == docker::ID)
        .then(|| docker::Action::of(step).ok())
        .flatten()
}

/// Whether something here can run an operation.
#[must_use]
pub fn supports(plugin: &str, operation: &str) -> bool {
    docker::Operation::of(plugin, operation).is_some()
}

/// Whether dockctl itself carries out what a blueprint's plugin of this name does.
#[must_use]
pub fn provides(plugin: &str) -> bool {
    docker::provides(plugin)
}

/// For each instance the ids of those whose objects its own name, such as by links.
#[must_use]
pub fn uses(deployment: &Deployment) -> HashMap<String, Vec<String>> {
    docker::uses(deployment)
}

/// Whether an operation makes or starts a container.
#[must_use]
pub fn makes_or_starts(operation: &Planned) -> bool {
    use docker::Operation::{Create, Run, Start};
    matches!(
        docker::Operation::of(&operation.plugin, &operation.operation),
        Some(Create | Run | Start)
    )
}

/// Whether an operation makes an object from the properties of its node.
#[must_use]
pub fn reads_properties(operation: &Planned) -> bool {
    docker::Operation::of(&operation.plugin, &operation.operation)
        .and_then(docker::Operation::makes)
        .is_some()
}

/// Whether the object of a node stays when its deployment is taken down: a volume that is kept.
#[must_use]
pub fn outlives_deployment(node: &Definition) -> bool {
    docker::kind(node) == Some(Kind::Volume)
        && node
            .properties
            .get("keep")
            .is_none_or(|keep| *keep != false)
}

/// How far an instance is from being installed.
#[must_use]
pub fn standing(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Standing {
    // Images are looked at when they are used.
    if has_object(node) {
        return docker::standing(instance, node, record, observed);
    }
    match record.state(&instance.id) {
        InstanceState::Started => Standing::UpToDate,
        _ => Standing::Absent,
    }
}

/// Whether the object of an instance is as it should be: it runs, is there, or ended as it was to
/// end.
#[must_use]
pub fn is_done(instance: &Instance, node: &Definition, observed: &Observed) -> bool {
    object_of(node, instance, observed).is_some_and(|object| docker::is_done(node, object))
}

/// Whether another object can take the place of a node's.
#[must_use]
pub fn is_replaceable(node: &Definition) -> bool {
    docker::kind(node) == Some(Kind::Container) && !node.is_adopted()
}

/// Why an old object of an instance and the one that takes its place cannot be there at once, in
/// words; none if they can.
#[must_use]
pub fn both_need(
    deployment: &Deployment,
    instance: &Instance,
    former: &Definition,
    node: &Definition,
) -> Option<String> {
    docker::both_need(deployment, instance, former, node)
}

/// Whether the object of an instance is gone for good as soon as it is stopped.
#[must_use]
pub fn is_removed_when_stopped(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> bool {
    docker::is_removed_when_stopped(deployment, instance, node)
}

/// A port of the host that a node's object must have, so that there can be only one.
#[must_use]
pub fn fixed_port(node: &Definition) -> Option<String> {
    docker::fixed_port(node)
}

/// What it takes to make an instance what its node says now.
#[must_use]
pub fn change(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Change {
    docker::change(instance, node, record, observed)
}

/// The step that puts what was made in the place of an object there.
#[must_use]
pub fn swap(deployment: &Deployment, instance: &Instance, node: &Definition, keeps: bool) -> Step {
    docker::swap(deployment, instance, node, keeps)
}

/// Whether another object is about to take the place of an instance's, or took it a moment ago.
#[must_use]
pub fn is_being_replaced(known: &InstanceRecord) -> bool {
    docker::is_being_replaced(&known.properties)
}

/// Whether another object has the place of an instance's, and the old one is there still.
#[must_use]
pub fn is_replaced(known: &InstanceRecord) -> bool {
    docker::is_replaced(&known.properties)
}

/// Whether an old object has its place back, and was not started there yet.
#[must_use]
pub fn is_put_back(known: &InstanceRecord) -> bool {
    docker::is_put_back(&known.properties)
}

/// Whether the object is gone that another one is to take the place of, or took it.
#[must_use]
pub fn is_predecessor_gone(known: &InstanceRecord, observed: &Observed) -> bool {
    docker::is_predecessor_gone(&known.properties, observed)
}

/// The step that removes what another object takes the place of; one that was adopted is kept.
#[must_use]
pub fn discarding(node: &Definition, keeps: bool) -> Step {
    docker::discarding(node, keeps)
}

/// The step that sees whether what takes the place of an object stays up; none if something else
/// shows it.
#[must_use]
pub fn enduring(node: &Definition) -> Option<Step> {
    docker::enduring(node)
}

/// The step that stops an object for another one, where its own definition has no operation for
/// that.
#[must_use]
pub fn stopping(node: &Definition) -> Step {
    docker::stopping(node)
}

/// The step that gives the object back its place that was made from `former`, and removes what was
/// to take it.
#[must_use]
pub fn put_back(former: &Definition) -> Step {
    docker::put_back(former)
}

/// The step that starts an object which has its place again.
#[must_use]
pub fn starting_old(former: &Definition) -> Step {
    docker::starting_old(former)
}

/// Whether nothing of an instance can exist: its engine was never known, and no object of it is.
#[must_use]
pub fn is_out_of_reach(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> bool {
    let late = docker::engine_of(deployment, instance).is_some_and(|engine| engine.is_late());
    late && docker::known_id(record, instance, node).is_none() && !exists(instance, observed)
}

/// Whether an instance stands for an image that is made for the deployment.
#[must_use]
pub fn makes_image(deployment: &Deployment, instance: &str) -> bool {
    let node = deployment
        .instance(instance)
        .and_then(|instance| deployment.node(instance));
    node.and_then(docker::kind) == Some(Kind::Image)
}

/// Whether what a step did, as the journal has it, still stands: then it need not be done again.
#[must_use]
pub fn still_done(
    step: &Step,
    instance: &Instance,
    node: &Definition,
    observed: &Observed,
) -> bool {
    match docker_action(step) {
        Some(action) => docker::still_done(&action, node, observed.of(&instance.id)),
        None => step.refusal().is_none() && step.plugin != docker::ID,
    }
}

/// Whether an instance of a node is looked at on an engine, and not only in the record.
#[must_use]
pub fn has_object(node: &Definition) -> bool {
    docker::kind(node).is_some_and(|kind| kind != Kind::Image)
}

/// Whether an object of the instance exists.
#[must_use]
pub fn exists(instance: &Instance, observed: &Observed) -> bool {
    observed.of(&instance.id).is_some()
}

/// The object that stands for an instance: created for it, or adopted by it.
#[must_use]
pub fn object_of<'o>(
    node: &Definition,
    instance: &Instance,
    observed: &'o Observed,
) -> Option<&'o Object> {
    let adopted =
        || docker::adopted_name(node).and_then(|name| observed.named(&instance.id, &name));
    observed.of(&instance.id).or_else(adopted)
}

/// The JSON Schema of blueprints, with what back-ends know of the types that they carry out.
#[must_use]
pub fn json_schema() -> Json {
    let mut schema = crate::syntax::json_schema();
    docker::params::extend_schema(&mut schema);
    schema
}

/// Finds the faults that only a back-end knows of: arguments, names, images.
pub fn check(blueprint: &Blueprint, d: &mut Diagnostics) {
    docker::check::check(blueprint, d);
}

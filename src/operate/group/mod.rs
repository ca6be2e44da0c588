//! Groups of InfraKit: deployments that come from a specification of a group.

pub(crate) mod commit;
mod listing;
mod take;

pub(crate) use listing::{GroupMember, members};

use super::{
    blueprint::Origin,
    error::{Error, Kind},
    execute::places,
    session::Session,
    settings::{RunOptions, Settings},
    uninstall,
    workspace::Workspace,
};
use crate::{
    document::DocumentKind,
    event::{Event, Outcome},
    front::infrakit::{Allocation, GroupSpec, MAX_SIZE, NODE},
    model::Deployment,
    plugins::Plugins,
    printable::printable,
    record::Record,
};
use std::collections::BTreeSet;

/// A group that is known here.
pub(crate) struct Group {
    pub record: Record,
    pub spec: GroupSpec,
}

/// Returns the specification that a deployment was created from, if it is a group.
pub(crate) fn spec_of(deployment: &Deployment) -> Option<GroupSpec> {
    let document = deployment.document.as_ref()?;
    let is_group = document.kind == DocumentKind::InfrakitGroup;
    GroupSpec::from_json(&document.content).filter(|_| is_group)
}

/// Returns true if a deployment is a group.
pub(crate) fn is_group(record: &Record) -> bool {
    record.deployment.as_ref().and_then(spec_of).is_some()
}

/// Refuses to scale a group as a deployment: its specification has the size.
pub(crate) fn refuse_scaling(record: &Record) -> Result<(), Error> {
    let Some(spec) = record.deployment.as_ref().and_then(spec_of) else {
        return Ok(());
    };
    let id = &spec.id;
    let error = Error::usage(format!("`{id}` is a group: its specification has the size"));
    Err(match spec.allocation {
        Allocation::Size(_) => error.hint(format!("run: dockctl group scale {id} SIZE")),
        Allocation::LogicalIds(_) => error.hint("the logical IDs cannot change"),
    })
}

/// Returns the stored specification of a group, and the settings to read it with.
///
/// # Errors
///
/// If its journal cannot be read.
pub(crate) fn stored(
    workspace: &Workspace<'_>,
    id: &str,
) -> Result<Option<(Origin, Settings)>, Error> {
    let known = find(workspace, id)?;
    Ok(known.and_then(|known| {
        let deployment = known.record.deployment.as_ref()?;
        Some(commit::stored(&workspace.settings, deployment, &known.spec))
    }))
}

/// Returns the group with an ID, if it is managed.
///
/// # Errors
///
/// If its journal cannot be read.
pub(crate) fn find(workspace: &Workspace<'_>, id: &str) -> Result<Option<Group>, Error> {
    let record = workspace.state.read(id)?;
    let record = record.filter(Record::is_installed);
    Ok(record.and_then(|record| {
        let spec = spec_of(record.deployment.as_ref()?)?;
        Some(Group { record, spec })
    }))
}

/// Returns the IDs of all groups that are managed, sorted.
///
/// # Errors
///
/// If the state directory cannot be read.
pub(crate) fn ids(workspace: &Workspace<'_>) -> Result<Vec<String>, Error> {
    let names = workspace.state.names()?.into_iter();
    let is_group = |name: &String| find(workspace, name).is_ok_and(|group| group.is_some());
    Ok(names.filter(is_group).collect())
}

/// Returns the error for an unknown group, in the words of the original.
pub(crate) fn unknown(id: &str) -> Error {
    let error = Error::usage(format!("Group '{id}' is not being watched"));
    error.hint("to list the groups, run: dockctl group ls")
}

/// Returns a group that must be managed.
///
/// # Errors
///
/// If it is not.
pub(crate) fn known(workspace: &Workspace<'_>, id: &str) -> Result<Group, Error> {
    find(workspace, id)?.ok_or_else(|| unknown(id))
}

/// Returns the specification with another size.
///
/// # Errors
///
/// If the group has logical IDs, or the size is not positive.
pub(crate) fn resized(spec: &GroupSpec, size: i64) -> Result<GroupSpec, Error> {
    if size < 0 {
        return Err(Error::usage("size cannot be negative"));
    }
    if matches!(spec.allocation, Allocation::LogicalIds(_)) {
        let error = Error::usage("cannot set size if logic ids are explicitly set");
        return Err(error.hint("the logical IDs determine the number of instances"));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_SIZE {
        return Err(Error::usage(format!(
            "a group has at most {MAX_SIZE} instances"
        )));
    }
    if size == 0 {
        let id = &spec.id;
        let error = Error::usage("Allocation must not be blank");
        return Err(error.hint(format!(
            "to remove all instances, run: dockctl group destroy {id}"
        )));
    }
    Ok(GroupSpec {
        allocation: Allocation::Size(size),
        ..spec.clone()
    })
}

/// Another size of a group.
#[derive(Clone, Debug)]
pub(crate) enum Resize {
    /// This number of instances.
    To(i64),
    /// Without these instances: IDs or names.
    Without(Vec<String>),
}

/// Changes the size of a group, and works until it has this size.
///
/// # Errors
///
/// If the size or an instance is invalid, or a run does not succeed.
pub(crate) async fn resize(
    workspace: &Workspace<'_>,
    (id, resize): (&str, &Resize),
    (repeat, options): (String, RunOptions),
) -> Result<(), Error> {
    let known = known(workspace, id)?;
    let (spec, removed_first) = resized_spec(workspace, &known.spec, resize).await?;
    let Some(deployment) = &known.record.deployment else {
        return Err(unknown(id));
    };
    let (origin, settings) = commit::stored(&workspace.settings, deployment, &spec);
    let request = commit::Request {
        origin,
        removed_first,
        repeat,
        options,
        ..commit::Request::of_json(&spec.to_json(), false)
    };
    let workspace = Workspace::new(settings, workspace.caller);
    Box::pin(commit::commit(&workspace, &request))
        .await
        .map(drop)
}

/// Returns a specification with another size, and the IDs of the instances that are removed first.
///
/// # Errors
///
/// If the size or an instance is invalid.
pub(crate) async fn resized_spec(
    workspace: &Workspace<'_>,
    spec: &GroupSpec,
    resize: &Resize,
) -> Result<(GroupSpec, BTreeSet<String>), Error> {
    match resize {
        Resize::To(size) => Ok((resized(spec, *size)?, BTreeSet::new())),
        Resize::Without(names) => without(workspace, spec, names).await,
    }
}

/// Returns the specification without some instances, and their IDs in the deployment.
async fn without(
    workspace: &Workspace<'_>,
    spec: &GroupSpec,
    names: &[String],
) -> Result<(GroupSpec, BTreeSet<String>), Error> {
    let known = known(workspace, &spec.id)?;
    let members = members(workspace, &known.record).await?;
    let mut removed = BTreeSet::new();
    for name in names {
        let member = members.iter().find(|member| member.is_named(name));
        let instance = member.and_then(|member| known.instance_of(member));
        let Some(instance) = instance else {
            let (name, id) = (printable(name), &spec.id);
            let message = format!("`{name}` is not an instance of group `{id}`; nothing was done");
            let error = Error::usage(message);
            return Err(error.hint(format!("to list them, run: dockctl group describe {id}")));
        };
        removed.insert(instance.to_owned());
    }
    let less = i64::try_from(spec.allocation.size()).unwrap_or(i64::MAX);
    let less = less.saturating_sub(i64::try_from(removed.len()).unwrap_or(i64::MAX));
    Ok((resized(spec, less)?, removed))
}

impl Group {
    /// Returns the ID of the instance whose container a member is.
    fn instance_of(&self, member: &GroupMember) -> Option<&str> {
        let mut instances = self.record.instances.iter();
        let found = instances.find(|(_, it)| it.object_id() == Some(&member.id));
        found.map(|(id, _)| id.as_str())
    }

    /// Returns true if the last run was interrupted or left something to do. A failed update leaves
    /// the former instances, and is over.
    pub(crate) fn is_unfinished(&self) -> bool {
        let last = self.record.executions.last().and_then(|last| last.outcome);
        let is_interrupted = matches!(last, Some(Outcome::Cancelled | Outcome::Interrupted));
        let is_running = self.record.running().is_some();
        is_interrupted || is_running || !self.record.is_deployment_complete()
    }

    /// Returns true if the group matches its specification.
    pub(crate) fn is_converged(&self, members: &[GroupMember]) -> bool {
        let present = listing::count_by_configuration(members, &self.spec.config_hash());
        let size = self.spec.allocation.size();
        !self.is_unfinished() && present.outdated == 0 && present.current == size
    }
}

/// Gives up a group: its instances stay.
///
/// # Errors
///
/// If it is unknown, another run holds it, or an engine does not respond.
pub(crate) async fn free(workspace: &Workspace<'_>, id: &str) -> Result<(), Error> {
    known(workspace, id)?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let mut session = Session::new(workspace, &drivers, id);
    let mut held = session.hold("free")?;
    let freed = async {
        let Some(deployment) = held.record().deployment.clone() else {
            return Ok(());
        };
        let places = places(&deployment, held.record(), &workspace.secrets)?;
        let has_objects = Plugins::default().has_objects(&deployment, held.record());
        let places = has_objects.then_some(&places);
        held.guard_and_settle(id, places, "free").await?;
        let ended = Event::ExecutionFinished {
            outcome: Outcome::Interrupted,
        };
        let ended = held.record().running().map(|_| ended);
        held.record_events(ended.into_iter().chain([Event::Freed]).collect())
    }
    .await;
    held.release().await;
    freed
}

/// Removes a group and its instances. Returns its record, if anything was removed.
///
/// # Errors
///
/// If it is unknown, or the run does not succeed.
pub(crate) async fn destroy(
    workspace: &Workspace<'_>,
    id: &str,
    options: RunOptions,
) -> Result<Option<Record>, Error> {
    known(workspace, id)?;
    let request = uninstall::Request {
        deployment: id.to_owned(),
        from_labels: None,
        volumes: false,
        inputs: Vec::new(),
        options,
    };
    let removed = uninstall::uninstall(workspace, &request).await?;
    Ok(removed.map(|(record, _)| record))
}

/// Node type of the instances of a group.
const NODE_TYPE: &str = "dockctl.nodes.infrakit.Instance";

/// Returns true if a deployment can be a group that was recovered from labels, which do not have its
/// specification.
fn is_recovered_group(deployment: &Deployment) -> bool {
    let mut nodes = deployment.nodes.iter();
    deployment.recovered
        && nodes.all(|(name, node)| {
            name == NODE && node.hierarchy.last().is_some_and(|it| it == NODE_TYPE)
        })
}

/// Refuses a deployment that is no group.
fn refuse_other_deployment(record: Option<&Record>, id: &str) -> Result<(), Error> {
    let deployment = record
        .filter(|record| record.is_installed())
        .and_then(|record| record.deployment.as_ref());
    match deployment {
        Some(deployment) if deployment.document.is_none() && !is_recovered_group(deployment) => {
            let message = format!("`{id}` is a deployment that is no group; nothing was done");
            let path = deployment.blueprint.display();
            let error = Error::new(Kind::Usage, message);
            Err(error
                .hint(format!("it was installed from {path}"))
                .hint("use another ID for the group"))
        }
        _ => Ok(()),
    }
}

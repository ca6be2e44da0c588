//! Commits the specification of a group: creates the group, or changes it.

use super::{
    super::{
        blueprint::{self, Origin},
        caller::Notice,
        converge::{self, converge},
        desired::{Desired, DesiredRequest},
        error::{Detail, Error, Kind},
        settings::{RunOptions, Settings},
        workspace::Workspace,
    },
    Group,
    listing::{count_by_configuration, members_of, tagged},
    refuse_other_deployment,
    take::Found,
};
use crate::{
    event::Outcome,
    front::infrakit::{GroupSpec, changes},
    model::{Deployment, inputs::MissingInputs},
    plugins::Drivers,
    printable::printable,
    record::Record,
    stage::{Parameters, Workflow, parameters::Update},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// A request to commit a specification.
pub(crate) struct Request {
    /// The specification.
    pub origin: Origin,
    /// Only describe what the commit would do.
    pub pretend: bool,
    /// Take over containers of others without a question.
    pub takes_over: bool,
    /// Parameters of a rolling update.
    pub rolling: Update,
    /// IDs of the instances that are removed first if the size is smaller than before.
    pub removed_first: BTreeSet<String>,
    /// Command line that repeats the request.
    pub repeat: String,
    /// Options of the run.
    pub options: RunOptions,
}

/// The result of a commit.
#[derive(Debug)]
pub(crate) struct Committed {
    /// ID of the group.
    pub id: String,
    /// What the commit did or would do, in the words of the original.
    pub details: String,
}

/// A checked commit, with a description of its effect.
pub(crate) struct Prepared {
    pub spec: GroupSpec,
    /// Text of the script that the specification refers to.
    pub script: Option<String>,
    pub details: String,
    /// Containers that are taken over; `None` if the group is managed already.
    found: Option<Found>,
}

impl Prepared {
    /// Checks that the containers of others may be taken over.
    ///
    /// # Errors
    ///
    /// If the user does not agree.
    pub(crate) fn check_consent(
        &self,
        workspace: &Workspace<'_>,
        takes_over: bool,
    ) -> Result<(), Error> {
        let found = self.found.iter();
        let mut checked = found.map(|found| found.confirm(workspace, (&self.spec, takes_over)));
        checked.next().unwrap_or(Ok(()))
    }
}

impl Request {
    /// Returns the request to commit a specification in its normal form, which has no templates.
    pub(crate) fn of_json(spec: &Json, takes_over: bool) -> Self {
        let path = format!(
            "<specification of {}>",
            spec["ID"].as_str().unwrap_or_default()
        );
        Self {
            origin: Origin {
                path: path.into(),
                text: Some(escaped(&format!("{spec:#}\n"))),
            },
            pretend: false,
            takes_over,
            rolling: Update::default(),
            removed_first: BTreeSet::new(),
            repeat: "dockctl group commit FILE".to_owned(),
            options: RunOptions::default(),
        }
    }
}

/// Commits a specification, and works until the group matches it.
///
/// # Errors
///
/// If the specification is invalid or refused, or a run does not succeed.
pub(crate) async fn commit(
    workspace: &Workspace<'_>,
    request: &Request,
) -> Result<Committed, Error> {
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let prepared = prepare(workspace, &drivers, request, None).await?;
    let (id, details) = (prepared.spec.id.clone(), prepared.details.clone());
    if request.pretend {
        if let Some(found) = prepared
            .found
            .and_then(|found| found.description(&prepared.spec))
        {
            workspace
                .caller
                .notify(&Notice::Note(format!("the commit takes over {found}")));
        }
        return Ok(Committed { id, details });
    }
    prepared.check_consent(workspace, request.takes_over)?;
    let took_over = Box::pin(take_over(workspace, &drivers, request, prepared)).await?;
    let applied = Box::pin(apply(workspace, request, &id)).await;
    applied.map_err(|error| match error.detail {
        Detail::None if took_over && error.kind == Kind::Interrupted => after_take_over(&id),
        _ => error,
    })?;
    Ok(Committed { id, details })
}

/// Returns the error if the user refuses the changes after a take-over.
fn after_take_over(id: &str) -> Error {
    let message = format!("the containers belong to group `{id}` now; nothing else was done");
    let error = Error::new(Kind::Interrupted, message);
    error.hint(format!(
        "to give them up as they are, run: dockctl group free {id}"
    ))
}

/// Describes a commit without changing anything. `committed` is a specification that is accepted,
/// but may not be recorded yet.
///
/// # Errors
///
/// If the specification is invalid or refused, or the engine does not respond.
pub(crate) async fn describe(
    workspace: &Workspace<'_>,
    request: &Request,
    committed: Option<&GroupSpec>,
) -> Result<Prepared, Error> {
    let systems = workspace.connect()?;
    prepare(workspace, &systems.drivers(), request, committed).await
}

/// Checks a commit, and describes its effect.
async fn prepare(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    request: &Request,
    committed: Option<&GroupSpec>,
) -> Result<Prepared, Error> {
    let (spec, script) = read(&request.origin, &workspace.settings)?;
    let id = &spec.id;
    let record = workspace.state.read(id)?;
    refuse_other_deployment(record.as_ref(), id)?;
    let known = super::find(workspace, id)?;
    let members = match &known {
        Some(known) => {
            warn_of_unmanaged(workspace, drivers, &known.record).await?;
            members_of(drivers, &known.record).await?
        }
        None => Vec::new(),
    };
    let present = count_by_configuration(&members, &spec.config_hash());
    let recorded = known.as_ref().map(|known| &known.spec);
    let details = changes::describe(committed.or(recorded), &spec, present);
    let details = details.map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
    let found = match &known {
        Some(_) => None,
        None => Some(Found::of(workspace, drivers, (id, record.as_ref())).await?),
    };
    Ok(Prepared {
        spec,
        script,
        details,
        found,
    })
}

/// Warns of containers that have the tag of a group and do not belong to it.
async fn warn_of_unmanaged(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    record: &Record,
) -> Result<(), Error> {
    let Some(id) = record
        .deployment
        .as_ref()
        .map(|deployment| &deployment.name)
    else {
        return Ok(());
    };
    let known = record.object_ids();
    let tagged = tagged(drivers, id).await?;
    let unmanaged = tagged.iter().filter(|object| !known.contains(&object.id));
    let names: Vec<String> = unmanaged.map(|object| printable(&object.name)).collect();
    if !names.is_empty() {
        workspace.warn(format!(
            "containers with the tag of group `{id}` that do not belong to it: {}; to take them over, run `dockctl group free {id}` and commit again with --take-over",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Reads and checks a specification. Returns it with the text of the script that it refers to.
///
/// # Errors
///
/// If it is invalid.
pub(crate) fn read(
    origin: &Origin,
    settings: &Settings,
) -> Result<(GroupSpec, Option<String>), Error> {
    let loaded = blueprint::load(origin, &[], None, MissingInputs::Reject, settings)?;
    let document = loaded.blueprint.document.as_ref();
    let spec = document.and_then(|document| GroupSpec::from_json(&document.content));
    match spec {
        Some(spec) if loaded.is_valid() => {
            Ok((spec, document.and_then(|document| document.script.clone())))
        }
        _ => Err(loaded.to_error()),
    }
}

/// Takes over the containers of a group that is not managed yet. Returns false if there are none.
async fn take_over(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    request: &Request,
    prepared: Prepared,
) -> Result<bool, Error> {
    let Some(found) = prepared.found.filter(|found| !found.is_empty()) else {
        return Ok(false);
    };
    let desired = desired(workspace, request, &prepared.spec.id)?;
    found.record(workspace, drivers, desired).await?;
    Ok(true)
}

fn desired(workspace: &Workspace<'_>, request: &Request, id: &str) -> Result<Deployment, Error> {
    let desired = Desired::read(
        workspace,
        &DesiredRequest {
            origin: &request.origin,
            name: id,
            inputs: &[],
            plan: None,
            removed_first: &request.removed_first,
        },
    )?;
    Ok(desired.deployment)
}

/// Changes a group until it matches its specification. Instances that were just taken over stay as
/// they are.
///
/// # Errors
///
/// If the request is refused, or its run does not succeed.
async fn apply(workspace: &Workspace<'_>, request: &Request, id: &str) -> Result<(), Error> {
    let record = workspace.state.read(id)?.unwrap_or_default();
    let before = record.deployment.as_ref().filter(|_| record.is_installed());
    let parameters = match before {
        None => Workflow::Install.into(),
        Some(before) => Parameters::Update(Update {
            start_first: true,
            keep_outdated: before.recovered || was_keeping_outdated(&record),
            ..request.rolling
        }),
    };
    let request = converge::Request {
        blueprint: request.origin.clone(),
        deployment: id.to_owned(),
        inputs: Vec::new(),
        parameters,
        skip_unsupported: false,
        removed_first: request.removed_first.clone(),
        repeat: Some(request.repeat.clone()),
        options: request.options,
        plan: None,
    };
    let is_update = request.parameters.workflow() == Workflow::Update;
    let converged = converge(workspace, &request).await;
    converged.map(drop).map_err(|error| match error.kind {
        Kind::Failed if is_update => error.hint(
            "the instances that were not replaced keep running with their former configuration",
        ),
        _ => error,
    })
}

/// Returns true if the last run, which was not completed, left outdated instances alone.
fn was_keeping_outdated(record: &Record) -> bool {
    let last = record.executions.last();
    let unfinished = last.filter(|last| last.outcome != Some(Outcome::Terminated));
    let parameters = unfinished.map(|last| &*last.parameters);
    matches!(parameters, Some(Parameters::Update(update)) if update.keep_outdated)
}

/// Completes a group whose last run was interrupted.
///
/// # Errors
///
/// If the run does not succeed.
pub(crate) async fn complete(workspace: &Workspace<'_>, known: &Group) -> Result<(), Error> {
    let Some(deployment) = &known.record.deployment else {
        return Ok(());
    };
    let (origin, settings) = stored(&workspace.settings, deployment, &known.spec);
    let workspace = Workspace::new(settings, workspace.caller);
    let request = Request {
        origin,
        ..Request::of_json(&known.spec.to_json(), false)
    };
    apply(&workspace, &request, &known.spec.id).await
}

/// Returns the origin of a committed specification, and the settings to read it with.
pub(super) fn stored(
    settings: &Settings,
    deployment: &Deployment,
    spec: &GroupSpec,
) -> (Origin, Settings) {
    let document = deployment.document.as_ref();
    let script = document.and_then(|document| document.script.clone());
    let origin = Origin {
        path: deployment.blueprint.clone(),
        text: Some(escaped(&format!("{:#}\n", spec.to_json()))),
    };
    (origin, settings.with_script(script))
}

/// Returns a text that the expansion of templates leaves as it is.
fn escaped(text: &str) -> String {
    text.replace("{{", &format!("{{{{ {} }}}}", json!("{{")))
}

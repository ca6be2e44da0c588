//! The desired deployment of a blueprint, compared with the record.

use super::{
    blueprint::{self, LoadedBlueprint, Origin},
    claims,
    error::{Claimed, Detail, Error, Kind},
    plan_file::PlanFile,
    recover,
    session::refuse_unknown_plugins,
    workspace::Workspace,
};
use crate::{
    diagnostic::Diagnostics,
    digest::keyed_digest,
    event::{Entry, Event},
    journal::{Inventory, JournalError},
    model::{Deployment, Difference, Instance, inputs::MissingInputs},
    plan::{
        self, AbsentReference, AttributeRead, PlanInput, Proposal, Unsupported, restore,
        restored::restored,
    },
    plugins::{Drivers, Plugins},
    printable::printable,
    record::Record,
    seam::{Object, Observed, Step},
    stage::{Parameters, Stage, Task, Workflow},
};
use indexmap::IndexSet;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What a desired deployment is made from.
#[derive(Clone, Copy)]
pub(crate) struct DesiredRequest<'a> {
    pub origin: &'a Origin,
    /// Name of the deployment.
    pub name: &'a str,
    /// Inputs as passed to `-i`.
    pub inputs: &'a [String],
    pub plan: Option<&'a PlanFile>,
    /// IDs of the instances that are removed first if a number is smaller than before.
    pub removed_first: &'a BTreeSet<String>,
}

/// The desired deployment with the present record.
pub(crate) struct Desired {
    pub deployment: Deployment,
    pub record: Option<Record>,
    /// The record with the desired definition applied. It contains the instances that this
    /// definition drops, because they must be removed.
    pub updated_record: Record,
    loaded: LoadedBlueprint,
}

/// Returns the record with a definition applied.
fn with_definition(record: Option<Record>, deployment: &Deployment) -> Record {
    let mut record = record.unwrap_or_default();
    let deployment = Box::new(deployment.clone());
    let applied = record.apply(&Entry::now(Event::Defined { deployment }));
    applied.expect("a definition can always follow");
    record
}

/// Refuses to continue if another process works on a deployment: it may have begun, and created
/// objects, after the record was read.
fn refuse_concurrent_run(workspace: &Workspace<'_>, name: &str) -> Result<(), Error> {
    let holder = workspace.state.holder(name)?;
    let other = holder.filter(|holder| holder.pid != std::process::id());
    other.map_or(Ok(()), |other| {
        let holder = Some(other);
        Err(JournalError::Locked { holder }.into())
    })
}

/// The result of comparing a desired deployment with its record.
pub(crate) enum Decision {
    UpToDate,
    Different(Vec<Difference>),
    Work,
}

impl Desired {
    /// Reads the blueprint. New instances get the IDs in the plan, if there is one.
    pub(crate) fn read(
        workspace: &Workspace<'_>,
        request: &DesiredRequest<'_>,
    ) -> Result<Self, Error> {
        let DesiredRequest {
            origin,
            name,
            inputs,
            plan,
            removed_first,
        } = *request;
        let record = workspace.state.read(name)?;
        workspace.use_secrets_of(name)?;
        record.as_ref().map_or(Ok(()), refuse_unknown_plugins)?;
        let before = record
            .as_ref()
            .filter(|record| record.is_installed())
            .and_then(|record| record.deployment.as_ref());
        let mut loaded = blueprint::load(
            origin,
            inputs,
            before,
            MissingInputs::Reject,
            &workspace.settings,
        )?;
        if !is_same_document(before, &loaded) {
            refuse_other_blueprint(
                before.filter(|_| !record.as_ref().is_some_and(Record::is_taken_over)),
                &origin.path,
            )?;
        }
        let planned = plan.map(|plan| plan.instances.clone()).unwrap_or_default();
        let random = workspace.id_generator(name, record.as_ref())?;
        let mut deployment = blueprint::create_deployment(
            &mut loaded,
            name,
            origin,
            (before, &planned),
            removed_first,
            random,
            workspace,
        )?;
        let known = record
            .as_ref()
            .and_then(|record| record.deployment.as_ref())
            .map(|known| known.id.clone());
        let key = workspace.state.key()?;
        deployment.id = known
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| new_deployment_id(&key, name));
        deployment.withhold(&loaded.sensitive, &key, &workspace.secrets);
        deployment.record_secret_digests(&key, &workspace.secrets, before);
        refuse_unpopulated(&deployment)?;
        refuse_early_reads(&deployment)?;
        Ok(Self {
            updated_record: with_definition(record.clone(), &deployment),
            deployment,
            record,
            loaded,
        })
    }

    /// Returns the files of the blueprint that the state directory keeps, if the deployment has
    /// operations that read such files.
    pub(crate) fn inventory(&self, state_dir: &Path) -> Option<Inventory> {
        let first = Plugins::default().resources(&self.deployment)?;
        let main = self.deployment.blueprint.parent();
        let main = main.unwrap_or(Path::new(".")).to_owned();
        let imports = self.loaded.sources.directories().into_iter();
        let imports = imports.map(|directory| blueprint::absolute(&directory));
        let imports = imports.filter(|directory| *directory != main);
        let bases: Vec<PathBuf> = [main.clone()].into_iter().chain(imports).collect();
        Some(Inventory::of(&bases, &first, state_dir))
    }

    /// Plans `install` or `update`.
    pub(crate) fn propose(&self, parameters: &Parameters, observed: &Observed) -> Proposal {
        plan::first(parameters, &self.plan_input(observed))
    }

    /// Returns the IDs of the instances that an install or update restores before anything else.
    pub(crate) fn restored_first(&self) -> Vec<String> {
        if self.must_restore() {
            restore::instances_to_restore(&self.updated_record, Plugins::default())
        } else {
            Vec::new()
        }
    }

    fn must_restore(&self) -> bool {
        let install = Workflow::Install.into();
        restore::must_come_first(&self.updated_record, Plugins::default(), &install)
    }

    /// Takes the record as it will be when everything is restored that comes first, and returns the
    /// objects as they will be.
    pub(crate) fn expect_restored(&mut self, observed: &Observed) -> Observed {
        if !self.must_restore() {
            return observed.clone();
        }
        let (record, observed) = restored(&self.updated_record, observed, Plugins::default());
        self.updated_record = record;
        observed
    }

    /// Returns the facts that plans are made from.
    pub(crate) fn plan_input<'a>(&'a self, observed: &'a Observed) -> PlanInput<'a> {
        PlanInput::new(&self.deployment, &self.updated_record, observed)
    }

    /// Returns the installed deployment.
    pub(crate) fn before(&self) -> Option<&Deployment> {
        self.record
            .as_ref()
            .filter(|record| record.is_installed())
            .and_then(|record| record.deployment.as_ref())
    }

    /// Returns the differences from the installed deployment. A recovered deployment is compared
    /// with the objects on the engines instead.
    pub(crate) fn differences(&self, observed: &Observed) -> Vec<Difference> {
        if self.is_recovered() {
            return self.differing_nodes(observed);
        }
        self.before()
            .map(|before| before.differences(&self.deployment))
            .unwrap_or_default()
    }

    pub(crate) fn decide(&self, proposal: &Proposal, observed: &Observed) -> Decision {
        let complete = self
            .record
            .as_ref()
            .is_some_and(Record::is_deployment_complete);
        let unfinished = self
            .record
            .as_ref()
            .is_some_and(|record| record.running().is_some());
        let differences = self.differences(observed);
        let has_outdated = self.record.as_ref().is_some_and(Record::has_outdated);
        match (complete, differences.is_empty() && !has_outdated) {
            (true, false) => Decision::Different(differences),
            // A recovered deployment always needs work: its definition must be recorded.
            (true, true) if proposal.stage.is_empty() && !self.is_recovered() && !unfinished => {
                Decision::UpToDate
            }
            _ => Decision::Work,
        }
    }

    /// Returns true if the deployment is installed and differs from the desired one.
    pub(crate) fn is_changed(&self, observed: &Observed) -> bool {
        let has_outdated = self
            .record
            .as_ref()
            .is_some_and(|record| record.is_installed() && record.has_outdated());
        has_outdated || !self.differences(observed).is_empty()
    }

    fn is_recovered(&self) -> bool {
        self.record
            .as_ref()
            .and_then(|record| record.deployment.as_ref())
            .is_some_and(|before| before.recovered)
    }

    /// Returns the nodes with objects that do not match their declaration, and the nodes that are
    /// no longer in the blueprint.
    fn differing_nodes(&self, observed: &Observed) -> Vec<Difference> {
        let is_other = |object: &&Object| {
            object
                .owner
                .as_ref()
                .is_some_and(|owner| !owner.as_declared)
                || !object.drift.is_empty()
        };
        let owners = observed
            .objects()
            .iter()
            .filter(is_other)
            .filter_map(|object| object.owner.as_ref());
        let other =
            owners.filter_map(|owner| Some(&self.deployment.instance(&owner.instance)?.node));
        let is_kept = |instance: &Instance| {
            self.before()?
                .node(instance)
                .filter(|_| self.is_recovered())
                .map(|node| Plugins::default().survives_uninstall(node))
        };
        let is_gone = |instance: &&Instance| {
            self.deployment.instance(&instance.id).is_none() && is_kept(instance) != Some(true)
        };
        let before = self
            .before()
            .map(|before| &before.instances[..])
            .unwrap_or_default();
        let nodes: IndexSet<&String> = other
            .chain(before.iter().filter(is_gone).map(|instance| &instance.node))
            .collect();
        nodes
            .into_iter()
            .map(|node| Difference {
                field: format!("nodes.{node}"),
                before: None,
                after: None,
            })
            .collect()
    }

    /// Refuses to continue if objects are labeled with this deployment but not in its record: they
    /// would conflict.
    pub(crate) async fn refuse_unknown_objects(
        &self,
        workspace: &Workspace<'_>,
        drivers: &Drivers<'_>,
        observed: &Observed,
    ) -> Result<(), Error> {
        // Created by another state directory, or recorded in a journal that was lost.
        let unknown = |instance: &str| self.deployment.instance(instance).is_none();
        let is_unknown = |object: &&Object| {
            object.is_claimed
                || object
                    .owner
                    .as_ref()
                    .is_some_and(|owner| unknown(&owner.instance))
        };
        let unknown_objects: Vec<String> = observed
            .objects()
            .iter()
            .filter(is_unknown)
            .map(|object| printable(&object.name))
            .collect();
        if unknown_objects.is_empty() {
            return Ok(());
        }
        let name = &self.deployment.name;
        let discovery = workspace.discover(drivers, name).await?;
        if let Some(record) = self.record.as_ref().filter(|record| record.is_installed()) {
            return recover::refuse_created_elsewhere(&discovery, record, name);
        }
        refuse_concurrent_run(workspace, name)?;
        let message = format!(
            "this state directory has no record of `{name}`, but objects on the engine are labeled with it: {}",
            unknown_objects.join(", ")
        );
        let error = Error::new(Kind::Failed, message).with(Detail::Claims(Claimed {
            deployment: name.clone(),
            objects: Some(unknown_objects),
            claims: discovery.claims(),
        }));
        let error = if discovery.own().is_some() {
            error
                .hint(format!("to remove them, run: dockctl uninstall {name}"))
                .hint(format!("to take them over, run: dockctl recover {name}"))
        } else {
            let error = error.hint("use the state directory that installed it: --state-dir DIR");
            claims::with_hints(error, name, &discovery.claims())
        };
        Err(error.hint("to install a second deployment, use another name: -d NAME"))
    }

    /// Returns an error for missing files, such as image archives, before any write.
    pub(crate) fn check_files(&self, proposal: &Proposal) -> Result<(), Error> {
        if !proposal
            .stage
            .tasks()
            .iter()
            .any(|task| task.step.obtains_material())
        {
            return Ok(());
        }
        let mut d = Diagnostics::default();
        Plugins::default().check_files(
            &self.loaded.blueprint,
            self.deployment.blueprint.parent().unwrap_or(Path::new(".")),
            &mut d,
        );
        if d.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid(d, self.loaded.sources.clone()))
        }
    }

    /// Returns the event that records the definition, unless it is already recorded.
    pub(crate) fn definition_event(&self, record: &Record) -> Vec<Event> {
        let known = record.is_installed() && record.deployment.as_ref() == Some(&self.deployment);
        if known {
            Vec::new()
        } else {
            vec![Event::Defined {
                deployment: Box::new(self.deployment.clone()),
            }]
        }
    }
}

/// Returns the ID of a new deployment. It is derived from the key of the state directory: if the
/// journal is lost, the deployment gets the same ID again, and its objects still match.
fn new_deployment_id(key: &[u8], name: &str) -> String {
    keyed_digest(key, &format!("deployment {name}"))
        .chars()
        .take(12)
        .collect()
}

/// Returns true if a deployment comes from a document of the same kind, which can come from
/// anywhere.
fn is_same_document(before: Option<&Deployment>, loaded: &LoadedBlueprint) -> bool {
    let before = before.and_then(|before| before.document.as_ref());
    let now = loaded.blueprint.document.as_ref();
    before
        .zip(now)
        .is_some_and(|(before, now)| before.kind == now.kind)
}

fn refuse_other_blueprint(before: Option<&Deployment>, path: &Path) -> Result<(), Error> {
    let path = blueprint::absolute(path);
    // Reading the file reports later that it is missing.
    let Some(before) = before.filter(|before| before.blueprint != path && path.exists()) else {
        return Ok(());
    };
    let message = format!(
        "the deployment `{}` was installed from {}, not from {}",
        before.name,
        before.blueprint.display(),
        path.display()
    );
    let error = Error::usage(message).hint("use another deployment name: -d NAME");
    if before.blueprint.exists() {
        return Err(error);
    }
    Err(error.hint(format!(
        "if the blueprint was moved, run: dockctl relink {} -d {}",
        path.display(),
        before.name
    )))
}

/// Refuses a node without instances unless it was scaled to 0. Otherwise a plan would remove the
/// objects of the node and report success.
pub(crate) fn refuse_unpopulated(deployment: &Deployment) -> Result<(), Error> {
    let nodes = deployment.nodes_without_instances();
    if nodes.is_empty() {
        return Ok(());
    }
    let message = format!(
        "internal error: no instances of {}, although not scaled to 0; nothing was done",
        nodes.join(", ")
    );
    Err(Error::new(Kind::Failed, message)
        .hint("report this with the blueprint and the output of: dockctl inspect --deploy"))
}

/// Refuses to create containers from attributes that do not exist yet. Validation finds most cases;
/// this check also finds those that depend on inputs.
fn refuse_early_reads(deployment: &Deployment) -> Result<(), Error> {
    let early: Vec<AttributeRead> = plan::unordered_readings(deployment, Plugins::default())
        .into_iter()
        .filter(|reading| reading.creates_or_starts)
        .collect();
    if early.is_empty() {
        return Ok(());
    }
    let message =
        "containers would be created from attributes that do not exist yet; nothing was done";
    let error = Error::new(Kind::Invalid, message).with(Detail::EarlyReads(early));
    Err(error.hint("for details, run: dockctl explain D0121"))
}

/// Warns of attributes that are read too early. A deployment from an older dockctl can contain such
/// readings, which are refused now. Its workflows still run.
pub(crate) fn warn_of_early_reads(workspace: &Workspace<'_>, deployment: &Deployment) {
    for reading in plan::unordered_readings(deployment, Plugins::default()) {
        workspace.warn(format!(
            "{reading}, which is started later: it may be null or out of date"
        ));
    }
}

/// Refuses operations that no plugin can run.
pub(crate) fn refuse_unsupported(unsupported: &[Unsupported]) -> Result<(), Error> {
    if unsupported.is_empty() {
        return Ok(());
    }
    let message = "the blueprint has operations that no plugin can run; nothing was done";
    Err(Error::new(Kind::Invalid, message).with(Detail::Unsupported(unsupported.to_vec())))
}

/// Refuses to remove objects that others use, before the run starts.
pub(crate) fn refuse_removals(stage: &Stage) -> Result<(), Error> {
    let mut tasks = stage.tasks().iter();
    let is_refused = |task: &Task| task.operation == "delete" && task.step.refusal().is_some();
    if tasks.any(is_refused) {
        refuse_impossible_steps(stage)
    } else {
        Ok(())
    }
}

/// Refuses a stage whose instances need objects that it does not provide.
pub(crate) fn refuse_absent(absent: &[AbsentReference], repair: &str) -> Result<(), Error> {
    if absent.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = absent.iter().map(ToString::to_string).collect();
    let message = format!("nothing was done: {}", lines.join("; "));
    Err(Error::new(Kind::Invalid, message).hint(format!("first run: {repair}")))
}

/// Returns an error for steps that are known to be refused, before the run starts.
pub(crate) fn refuse_impossible_steps(stage: &Stage) -> Result<(), Error> {
    let line = |task: &Task| {
        let why = task.step.refusal()?;
        Some(format!("{}: {why}\n  --> {}\n", task.instance, task.place))
    };
    let lines: Vec<String> = stage.tasks().iter().filter_map(line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let message = "the run would make changes that are not possible; nothing was done";
    Err(Error::new(Kind::Invalid, message).with(Detail::Refused(lines)))
}

/// Returns the requirements that an engine does not meet, each with its location.
pub(crate) async fn unmet_requirements(
    drivers: &Drivers<'_>,
    stage: &Stage,
) -> Result<Vec<String>, Error> {
    let steps: Vec<&Step> = stage.tasks().iter().map(|task| &task.step).collect();
    let refusals = drivers.unsupported_features(&steps).await?;
    let lines = |(Task { node, place, .. }, reasons): (&Task, Vec<String>)| {
        let line = |why: String| format!("node `{node}`: {why}\n  --> {place}\n");
        reasons.into_iter().map(line).collect::<Vec<_>>()
    };
    let refused = stage.tasks().iter().zip(refusals);
    Ok(refused.flat_map(lines).collect())
}

pub(crate) fn refuse_unmet_requirements(lines: &[String]) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let message = "the blueprint requires features that are not available; nothing was done";
    let error = Error::new(Kind::Invalid, message).with(Detail::Unmet(lines.to_vec()));
    Err(error.hint("remove them from the blueprint, or use an engine that supports them: --host"))
}

pub(crate) fn differs_error(name: &str, differences: &[Difference]) -> Error {
    let why = if differences.is_empty() {
        "its last update did not finish"
    } else {
        "its blueprint or inputs have changed"
    };
    let message = format!("`{name}` is installed, but {why}; nothing was done");
    Error::new(Kind::Different, message).with(Detail::Different {
        deployment: name.to_owned(),
        differences: differences.to_vec(),
    })
}

/// Returns the fields that engines do not report, by instance.
pub(crate) fn unobservable_fields(observed: &Observed) -> BTreeMap<String, Vec<String>> {
    let unseen = |object: &Object| {
        let fields: Vec<String> = object
            .comparison
            .unobservable
            .iter()
            .map(|field| printable(field))
            .collect();
        object
            .owner
            .as_ref()
            .filter(|_| !fields.is_empty())
            .map(|owner| (owner.instance.clone(), fields))
    };
    observed.objects().iter().filter_map(unseen).collect()
}

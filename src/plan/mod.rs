//! Planning: the tasks that a workflow runs, and their order. Pure functions: no engine, no clock.
//!
//! One file per workflow. Each computes a [`Stage`] from the desired state ([`Deployment`]), the
//! recorded state ([`Record`]) and the observed state ([`Observed`]).

mod absent;
pub mod addresses;
mod chain;
pub mod effect;
mod exchange;
pub mod followers;
pub mod heal;
mod images;
pub mod install;
mod neighbors;
pub mod operation;
mod order;
mod outdated;
pub(crate) mod protected;
mod readers;
pub mod reinstall;
mod removal_order;
pub mod restore;
pub mod restored;
pub mod rollback;
pub mod scale;
mod stranded;
mod task_graph;
pub mod uninstall;
mod unseen;
pub mod update;

pub use absent::{AbsenceReason, AbsentReference};
pub use order::unordered_readings;
pub use readers::AttributeRead;

use addresses::{AddressRisk, TakenAddress};
use followers::Followers;
use stranded::Stranded;

use crate::{
    event::StopReason,
    model::{Definition, Deployment, Instance, InstanceState, SourceLocation},
    plugins::{InstanceRef, InstanceView, Plugins},
    record::{Execution, Record},
    seam::{ForeignSharers, Observed, Purpose},
    stage::{Parameters, Restoring, Selection, Stage, Workflow, parameters},
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Plans the first stage of an execution.
#[must_use]
pub fn first(parameters: &Parameters, known: &PlanInput<'_>) -> Proposal {
    let mut proposal = for_workflow(parameters, known);
    unseen::leave_out(known, &mut proposal.stage);
    proposal.absent = absent::leave_out(known, parameters, &mut proposal.stage);
    proposal.address_risks = addresses::order_starts(known, &mut proposal.stage);
    outdated::mark_outdated(known, &mut proposal.stage);
    proposal.followers = followers::own(known, &proposal.stage);
    proposal.lost_data = lost_data(known, &proposal.stage);
    proposal.stranded = stranded::find(known, &proposal.stage);
    proposal
}

/// Returns the IDs of the instances whose objects end in a stage, and their namespaces with them.
#[must_use]
pub fn ending(known: &PlanInput<'_>, stage: &Stage) -> BTreeSet<String> {
    followers::ending(known, stage)
}

/// Returns these instances, whose objects end, and those whose objects share a namespace of them.
#[must_use]
pub fn losing_namespaces(known: &PlanInput<'_>, ending: &BTreeSet<String>) -> BTreeSet<String> {
    followers::losing(known, ending)
}

/// Returns true if the namespace that objects outside the deployment share with an instance ends.
/// `ending` has the instances whose objects end.
#[must_use]
pub fn ends_namespace(
    known: &PlanInput<'_>,
    ending: &BTreeSet<String>,
    sharers: &ForeignSharers,
) -> bool {
    followers::ends_namespace(known, ending, sharers)
}

/// Returns true if a stage neither removes nor replaces the object of an instance.
#[must_use]
pub fn keeps_object(stage: &Stage, instance: &str) -> bool {
    followers::keeps_object(stage, instance)
}

fn for_workflow(parameters: &Parameters, known: &PlanInput<'_>) -> Proposal {
    match parameters {
        Parameters::Install(parameters) => plan_install(known, parameters),
        Parameters::Uninstall(parameters) => plan_uninstall(known, parameters),
        Parameters::Reinstall(parameters) => plan_reinstall(known, parameters),
        Parameters::Rollback(parameters) => rollback::by_states(known, &parameters.selection),
        Parameters::Heal(parameters) => heal::first(known, parameters),
        Parameters::Scale(parameters) => scale::of(known, parameters),
        Parameters::Update(parameters) => update::of(known, *parameters),
        Parameters::Start(parameters) => operation::single("start", parameters, known),
        Parameters::Stop(parameters) => operation::single("stop", parameters, known),
        Parameters::Pull(parameters) => operation::single("pull", parameters, known),
        Parameters::Restart(parameters) => operation::restart(parameters, known),
        Parameters::ExecuteOperation(parameters) => operation::execute_operation(parameters, known),
        Parameters::CheckStatus(parameters) => operation::check_status_workflow(parameters, known),
        Parameters::CheckDrift(parameters) => operation::check_drift(parameters, known),
    }
}

fn plan_install(known: &PlanInput<'_>, parameters: &parameters::Install) -> Proposal {
    let scope = install::Scope {
        selection: &parameters.selection,
        ..install::Scope::default()
    };
    install::of(known, &scope)
}

fn plan_uninstall(known: &PlanInput<'_>, parameters: &parameters::Uninstall) -> Proposal {
    let purpose = if parameters.volumes {
        Purpose::RemoveAll
    } else {
        Purpose::Ordinary
    };
    let (selection, ignores_failure) = (&parameters.selection, parameters.ignore_failure);
    uninstall::of(known, selection, ignores_failure, purpose)
}

fn plan_reinstall(known: &PlanInput<'_>, parameters: &parameters::Reinstall) -> Proposal {
    let is_selected =
        |instance: &Instance| parameters.selection.contains(known.deployment, instance);
    reinstall::of(known, &is_selected, parameters.ignore_failure, "reinstall")
}

/// Plans the stage that restores the objects of replacements that an earlier run left unfinished.
#[must_use]
pub fn restoration(known: &PlanInput<'_>) -> Stage {
    let mut stage = restore::first(known);
    unseen::leave_out(known, &mut stage);
    addresses::order_starts(known, &mut stage);
    stage
}

/// Plans the next stage after the earlier ones have finished; none if nothing is left to do.
/// `subgraph_retries` is how often failed instances are taken down and installed again.
#[must_use]
pub fn next(known: &PlanInput<'_>, subgraph_retries: usize) -> Option<Stage> {
    let execution = known.record.running()?;
    let stage = match (known.record.stage().restores, execution.stopped) {
        (_, Some(StopReason::GuardLost)) => None,
        (Some(Restoring::Recreate), _) => Some(restore::restart_followers(known)),
        (Some(Restoring::PutBack), _) => Some(restore::after_places(known)),
        (None, Some(_)) => Some(restore::first(known)),
        (None, None) if execution.has_failed() => {
            Some(after_failure(execution, known, subgraph_retries))
        }
        (None, None) => after_success(execution, known),
    };
    let mut stage = stage?;
    unseen::leave_out(known, &mut stage);
    // Users learned of the risks when the first stage was planned.
    addresses::order_starts(known, &mut stage);
    outdated::mark_outdated(known, &mut stage);
    Some(stage).filter(|stage| !stage.is_empty())
}

fn after_failure(execution: &Execution, known: &PlanInput<'_>, subgraph_retries: usize) -> Stage {
    match &*execution.parameters {
        _ if restore::has_open_exchange(known.record) => restore::first(known),
        _ if is_retried(execution, subgraph_retries) => plan_retry(execution, known),
        Parameters::Scale(parameters) if execution.stages == 1 => {
            scale::remove_added(known, parameters)
        }
        _ => restore::first(known),
    }
}

fn after_success(execution: &Execution, known: &PlanInput<'_>) -> Option<Stage> {
    let stage = match &*execution.parameters {
        _ if !may_have_next_stage(execution) => None,
        Parameters::Heal(parameters) => heal::next(known, parameters, execution.stages),
        Parameters::Scale(parameters) => Some(scale::next(known, parameters)),
        Parameters::Rollback(_) => {
            Some(uninstall::of(known, &Selection::All, true, Purpose::Ordinary).stage)
        }
        _ => None,
    };
    // Recreate started instances that still share something with a replaced object.
    let is_over = stage.as_ref().is_none_or(Stage::is_empty);
    if is_over && leaves_running(execution.workflow()) {
        let stage = restore::first(known);
        Some(if stage.is_empty() {
            followers::stage(known)
        } else {
            stage
        })
    } else {
        stage
    }
}

/// Returns true if a workflow leaves instances running.
fn leaves_running(workflow: Workflow) -> bool {
    use Workflow::{Heal, Install, Reinstall, Restart, Scale, Start, Update};
    matches!(
        workflow,
        Install | Update | Scale | Heal | Start | Restart | Reinstall
    )
}

/// Returns true if [`next`] may plan anything. Otherwise the engines need not be queried.
#[must_use]
pub fn may_continue(record: &Record, plugins: Plugins, subgraph_retries: usize) -> bool {
    let Some(execution) = record.running() else {
        return false;
    };
    match (record.stage().restores, execution.stopped) {
        (_, Some(StopReason::GuardLost)) => return false,
        (Some(Restoring::Recreate), _) => return followers::may_be_needed(record, plugins),
        (Some(Restoring::PutBack), _) | (None, Some(_)) => {
            return restore::is_needed(record, plugins)
                || followers::may_be_needed(record, plugins);
        }
        (None, None) => {}
    }
    let is_needed =
        || restore::is_needed(record, plugins) || followers::may_be_needed(record, plugins);
    if execution.has_failed() {
        is_retried(execution, subgraph_retries) || may_undo_scale(execution) || is_needed()
    } else {
        may_have_next_stage(execution) || (leaves_running(execution.workflow()) && is_needed())
    }
}

/// Returns true if failed instances are tried again.
fn is_retried(execution: &Execution, subgraph_retries: usize) -> bool {
    let workflow = execution.workflow();
    matches!(workflow, Workflow::Install | Workflow::Uninstall)
        && execution.stages <= subgraph_retries
}

/// Returns true if instances that a failed `scale` added may be removed.
fn may_undo_scale(execution: &Execution) -> bool {
    execution.workflow() == Workflow::Scale && execution.stages == 1
}

/// Returns true if a workflow may have another stage after a successful one.
fn may_have_next_stage(execution: &Execution) -> bool {
    let is_first = execution.stages == 1;
    match &*execution.parameters {
        Parameters::Heal(_) => true,
        Parameters::Scale(parameters) => is_first && !parameters.removed.is_empty(),
        Parameters::Rollback(parameters) => is_first && parameters.full_rollback,
        _ => false,
    }
}

/// Plans another attempt. `install` takes failed instances down and installs them again;
/// `uninstall` repeats the removal.
fn plan_retry(execution: &Execution, known: &PlanInput<'_>) -> Stage {
    let mut stage = match &*execution.parameters {
        Parameters::Install(parameters) => {
            let failed = execution.failed.iter().filter(|failed| !failed.ignored);
            let scope = install::Scope {
                selection: &parameters.selection,
                recreate: failed.map(|failed| failed.instance.clone()).collect(),
                cause: "its last attempt failed",
                ..install::Scope::default()
            };
            install::of(known, &scope).stage
        }
        Parameters::Uninstall(parameters) => plan_uninstall(known, parameters).stage,
        _ => Stage::default(),
    };
    stage.is_retry = true;
    stage
}

/// The input of planning.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// The desired state.
    pub deployment: &'a Deployment,
    /// The recorded state.
    pub record: &'a Record,
    /// The observed state.
    pub observed: &'a Observed,
    /// The plugins of the systems involved.
    pub plugins: Plugins,
}

impl<'a> PlanInput<'a> {
    /// Creates the input with all plugins.
    #[must_use]
    pub fn new(deployment: &'a Deployment, record: &'a Record, observed: &'a Observed) -> Self {
        Self {
            deployment,
            record,
            observed,
            plugins: Plugins::default(),
        }
    }

    /// Returns an instance with its node, as plugins expect it.
    #[must_use]
    pub fn part(&self, instance: &'a Instance, node: &'a Definition) -> InstanceRef<'a> {
        InstanceRef {
            deployment: self.deployment,
            instance,
            node,
        }
    }

    /// Returns the same with the recorded and the observed state.
    #[must_use]
    pub fn at(&self, instance: &'a Instance, node: &'a Definition) -> InstanceView<'a> {
        InstanceView {
            part: self.part(instance, node),
            record: self.record,
            observed: self.observed,
        }
    }
}

/// An operation that no plugin implements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsupported {
    /// The node.
    pub node: String,
    /// `interface.operation`.
    pub operation: String,
    /// The plugin that it belongs to.
    pub plugin: String,
    /// The plugin implements it, but cannot run it on the host of the node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_elsewhere: bool,
    /// The place of its definition.
    pub place: SourceLocation,
}

/// The result of planning: a stage, and the operations that it leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// The planned tasks.
    pub stage: Stage,
    /// Operations that no plugin implements, without duplicates.
    pub unsupported: Vec<Unsupported>,
    /// Fixed addresses that other instances may get first.
    pub address_risks: Vec<AddressRisk>,
    /// Fixed addresses that other objects have.
    pub taken_addresses: Vec<TakenAddress>,
    /// Instances that start again after this stage.
    pub followers: Vec<Followers>,
    /// Objects outside the deployment that lose a namespace of an instance. Planning leaves it empty:
    /// only drivers can find them.
    pub foreign_sharers: Vec<ForeignSharers>,
    /// IDs of the instances whose data is gone: their object was lost, and is created again.
    pub lost_data: Vec<String>,
    /// Stopped objects outside the deployment that cannot start after this stage.
    pub stranded: Vec<Stranded>,
    /// Objects that instances need and that the stage does not provide. A repair leaves these
    /// instances out.
    pub absent: Vec<AbsentReference>,
}

impl Proposal {
    /// Returns what users should know before the stage runs, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let risks = self.address_risks.iter().map(ToString::to_string);
        let risks = risks.chain(self.taken_addresses.iter().map(ToString::to_string));
        let sharers = self.foreign_sharers.iter().map(ToString::to_string);
        let lost = self.lost_data.iter();
        let lost = lost
            .map(|id| format!("{id} is gone, and its data with it; it is created again, empty"));
        let absent = self.absent.iter().map(|it| format!("not repaired: {it}"));
        let stranded = self.stranded.iter().map(ToString::to_string);
        let of_others = sharers.chain(stranded);
        risks.chain(of_others).chain(lost).chain(absent).collect()
    }
}

/// Returns the IDs of the instances whose data is gone.
fn lost_data(known: &PlanInput<'_>, stage: &Stage) -> Vec<String> {
    let is_lost = |instance: &&Instance| {
        let node = known.deployment.node(instance);
        node.is_some_and(|node| known.plugins.holds_data(node) && !node.is_adopted())
            && known.record.state(&instance.id) == InstanceState::Started
            && known.observed.of_instance(&instance.id).is_none()
            && stage
                .tasks()
                .iter()
                .any(|it| it.instance == instance.id && it.step.creates_object())
    };
    let lost = known.deployment.instances.iter().filter(is_lost);
    lost.map(|it| it.id.clone()).collect()
}

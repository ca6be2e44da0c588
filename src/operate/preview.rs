//! Previews of `install` and `update`. Changes nothing.

use super::{
    blueprint::Origin,
    desired::{Decision, Desired, DesiredRequest, unmet_requirements, unobservable_fields},
    error::Error,
    plan_file::PlanFile,
    workspace::Workspace,
};
use crate::{
    instance_record::InstanceRecord,
    model::Difference,
    plan::{
        PlanInput, Proposal,
        effect::{InstanceEffect, instance_effects},
        protected,
    },
    record::Record,
    seam::{Observed, Unseen},
    stage::{Parameters, Stage, Task, Workflow, parameters::Update},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A preview with the data that it was computed from.
pub(crate) struct PreviewResult {
    desired: Desired,
    observed: Observed,
    /// The preview.
    pub preview: Preview,
}

impl PreviewResult {
    /// Returns the plan file.
    ///
    /// # Errors
    ///
    /// If an engine did not respond: `install` and `update` would need it.
    pub(crate) fn plan_file(&self) -> Result<PlanFile, Error> {
        let Preview {
            parameters,
            proposal,
            ..
        } = &self.preview;
        let observed = self.observed.clone().complete()?;
        let deployment = &self.desired.deployment;
        Ok(PlanFile::new(
            parameters,
            deployment,
            &observed,
            &proposal.stage,
        ))
    }
}

/// Previews `install`, or `update` if a complete deployment differs from its blueprint or inputs.
///
/// # Errors
///
/// If the blueprint is invalid, an engine does not respond, or objects of another state directory
/// conflict.
pub(crate) async fn preview(
    workspace: &Workspace<'_>,
    (origin, name): (&Origin, &str),
    inputs: &[String],
    update_options: Update,
) -> Result<PreviewResult, Error> {
    let desired = Desired::read(
        workspace,
        &DesiredRequest {
            origin,
            name,
            inputs,
            plan: None,
            removed_first: &BTreeSet::new(),
        },
    );
    let mut desired = desired.map_err(|error| {
        let words = ["plan", &origin.path.display().to_string(), "-d", name];
        error.with_repeat_hint(&workspace.caller.command_line(&words))
    })?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let observed = workspace
        .observe_with_moved(&drivers, &desired.deployment, &desired.updated_record)
        .await?;
    desired
        .refuse_unknown_objects(workspace, &drivers, &observed)
        .await?;
    let first = desired.restored_first();
    let found = desired.expect_restored(&observed);
    let mut preview = Preview::new(&desired, &found, update_options);
    preview.restored = first;
    let known = desired.plan_input(&found);
    workspace
        .add_foreign_sharers(&drivers, &known, &mut preview.proposal)
        .await;
    preview.unmet = unmet_requirements(&drivers, &preview.proposal.stage).await?;
    let inventory = desired.inventory(workspace.state.path());
    preview.not_kept = inventory.map(|it| it.left_out).unwrap_or_default();
    Ok(PreviewResult {
        desired,
        observed,
        preview,
    })
}

/// The plan of a workflow, with its effects.
pub(crate) struct Preview {
    /// Name of the deployment.
    pub name: String,
    /// The workflow that would run.
    pub parameters: Parameters,
    /// The first stage.
    pub proposal: Proposal,
    /// Changes since the deployment was installed.
    pub differences: Vec<Difference>,
    /// Effects on instances.
    pub effects: Vec<InstanceEffect>,
    /// Names of new containers that foreign containers already use.
    pub conflicts: Vec<String>,
    /// Protected nodes that the workflow would delete objects of.
    pub protected: Vec<String>,
    /// IDs of the instances that the run restores first.
    pub restored: Vec<String>,
    /// Fields that engines do not report, by instance, for objects of another state directory.
    pub not_compared: BTreeMap<String, Vec<String>>,
    /// Requirements that an engine does not meet, one paragraph each.
    pub unmet: Vec<String>,
    /// Files of the blueprint that the state directory does not keep, because they are too large.
    pub not_kept: Vec<PathBuf>,
    /// The engines that did not respond. The plan leaves out their instances.
    pub unseen: Vec<Unseen>,
}

impl Preview {
    fn new(desired: &Desired, observed: &Observed, update_options: Update) -> Self {
        let known = &desired.updated_record;
        let (parameters, proposal) = plan_workflow(desired, observed, update_options);
        let effects = instance_effects(
            &PlanInput::new(&desired.deployment, known, observed),
            &proposal.stage,
        );
        let is_installed = desired.record.as_ref().is_some_and(Record::is_installed);
        let differences = if is_installed {
            desired.differences(observed)
        } else {
            Vec::new()
        };
        let conflicts = conflicts(&proposal.stage, known, observed);
        let protected = protected::nodes(&desired.deployment, desired.before(), &proposal.stage);
        let name = desired.deployment.name.clone();
        let not_compared = unobservable_fields(observed);
        Self {
            name,
            parameters,
            proposal,
            differences,
            effects,
            conflicts,
            protected,
            restored: Vec::new(),
            not_compared,
            unmet: Vec::new(),
            not_kept: Vec::new(),
            unseen: observed.unseen.clone(),
        }
    }

    /// Returns true if the workflow would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        !self.proposal.stage.is_empty() || !self.differences.is_empty()
    }
}

/// Plans `install`, or `update` if a complete deployment differs from its blueprint or inputs.
fn plan_workflow(
    desired: &Desired,
    observed: &Observed,
    update_options: Update,
) -> (Parameters, Proposal) {
    let (install, update) = (Workflow::Install.into(), Parameters::Update(update_options));
    let proposal = desired.propose(&install, observed);
    let is_update = match desired.decide(&proposal, observed) {
        Decision::UpToDate if observed.moved.is_empty() => return (install, Proposal::default()),
        Decision::UpToDate | Decision::Different(_) => true,
        Decision::Work => desired.is_changed(observed) || !observed.moved.is_empty(),
    };
    if is_update {
        let proposal = desired.propose(&update, observed);
        (update, proposal)
    } else {
        (install, proposal)
    }
}

/// Returns the names of new containers that foreign containers already use.
fn conflicts(stage: &Stage, record: &Record, observed: &Observed) -> Vec<String> {
    let foreign = |task: &&Task| {
        let creates = task.step.traits.new_name.as_deref();
        let holder = creates.and_then(|name| observed.named(&task.instance, name));
        // An adopted container keeps its name until it is replaced.
        let has = |it: &InstanceRecord, id: &str| it.object_ids().iter().any(|own| own == id);
        let is_own = |id: &str| record.instances.values().any(|it| has(it, id));
        holder.is_some_and(|object| object.owner.is_none() && !is_own(&object.id))
    };
    stage
        .tasks()
        .iter()
        .filter(foreign)
        .filter_map(|task| task.step.traits.new_name.clone())
        .collect()
}

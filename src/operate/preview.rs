//! Previews of `install` and `update`. Changes nothing.

use super::{
    error::Error,
    plan_file::PlanFile,
    wish::{Decision, Wish, not_compared, too_old},
    workspace::Workspace,
};
use crate::{
    model::Difference,
    plan::{
        Known, Proposal,
        effect::{Prospect, prospects},
        protected, restore,
    },
    plugins::Plugins,
    record::Record,
    seam::Observed,
    stage::{Parameters, Stage, Task, Workflow, parameters::Update},
};
use std::{collections::BTreeMap, path::Path};

/// A preview with the data that it was computed from.
pub(crate) struct Previewed {
    wish: Wish,
    observed: Observed,
    /// The preview.
    pub preview: Preview,
}

impl Previewed {
    /// Returns the plan file.
    pub(crate) fn plan_file(&self) -> PlanFile {
        let Preview {
            parameters,
            proposal,
            ..
        } = &self.preview;
        PlanFile::new(
            parameters,
            &self.wish.deployment,
            &self.observed,
            &proposal.stage,
        )
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
    (path, name): (&Path, &str),
    inputs: &[String],
    rolling: Update,
) -> Result<Previewed, Error> {
    let wish = Wish::read(workspace, (path, name), inputs, None);
    let wish = wish.map_err(|error| {
        let words = ["plan", &path.display().to_string(), "-d", name];
        error.repeated(&workspace.caller.command_line(&words))
    })?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let observed = workspace
        .observe(&drivers, &wish.deployment, &wish.known)
        .await?;
    wish.refuse_strangers(workspace, &drivers, &observed)
        .await?;
    let mut preview = Preview::new(&wish, &observed, rolling);
    preview.too_old = too_old(&drivers, &preview.proposal.stage).await?;
    Ok(Previewed {
        wish,
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
    pub prospects: Vec<Prospect>,
    /// Names of new containers that foreign containers already use.
    pub conflicts: Vec<String>,
    /// Protected nodes that the workflow would delete objects of.
    pub protected: Vec<String>,
    /// IDs of the instances that the run restores first.
    pub restores: Vec<String>,
    /// Fields that engines do not report, by instance, for objects of another state directory.
    pub not_compared: BTreeMap<String, Vec<String>>,
    /// Requirements that an engine does not meet, one paragraph each.
    pub too_old: Vec<String>,
}

impl Preview {
    fn new(wish: &Wish, observed: &Observed, rolling: Update) -> Self {
        let known = &wish.known;
        let (parameters, proposal) = proposed(wish, observed, rolling);
        let prospects = prospects(
            &Known::new(&wish.deployment, known, observed),
            &proposal.stage,
        );
        let is_installed = wish.record.as_ref().is_some_and(Record::is_installed);
        let differences = if is_installed {
            wish.differences(observed)
        } else {
            Vec::new()
        };
        let conflicts = conflicts(&proposal.stage, observed);
        let protected = protected::nodes(&wish.deployment, wish.before(), &proposal.stage);
        let plugins = Plugins::default();
        let restores = if restore::comes_first(known, plugins, &parameters) {
            restore::whose(known, plugins)
        } else {
            Vec::new()
        };
        let name = wish.deployment.name.clone();
        let not_compared = not_compared(observed);
        Self {
            name,
            parameters,
            proposal,
            differences,
            prospects,
            conflicts,
            protected,
            restores,
            not_compared,
            too_old: Vec::new(),
        }
    }

    /// Returns true if the workflow would change anything.
    pub(crate) fn changes(&self) -> bool {
        !self.proposal.stage.is_empty() || !self.differences.is_empty()
    }
}

/// Plans `install`, or `update` if a complete deployment differs from its blueprint or inputs.
fn proposed(wish: &Wish, observed: &Observed, rolling: Update) -> (Parameters, Proposal) {
    let (install, update) = (Workflow::Install.into(), Parameters::Update(rolling));
    let proposal = wish.propose(&install, observed);
    let is_update = match wish.decide(&proposal, observed) {
        Decision::UpToDate => return (install, Proposal::default()),
        Decision::Different(_) => true,
        Decision::Work => wish.is_changed(observed),
    };
    if is_update {
        let proposal = wish.propose(&update, observed);
        (update, proposal)
    } else {
        (install, proposal)
    }
}

/// Returns the names of new containers that foreign containers already use.
fn conflicts(stage: &Stage, observed: &Observed) -> Vec<String> {
    let foreign = |task: &&Task| {
        let creates = task.step.traits.creates.as_deref();
        creates
            .and_then(|name| observed.named(&task.instance, name))
            .is_some_and(|object| object.owner.is_none())
    };
    stage
        .tasks()
        .iter()
        .filter(foreign)
        .filter_map(|task| task.step.traits.creates.clone())
        .collect()
}

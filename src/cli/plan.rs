//! `dockctl plan`.

use super::{
    Outcome,
    args::{BlueprintArgs, Global, Output, PlanArgs},
    complain,
    error::{CliError, Kind, exit_code},
    named, runtime,
    terminal::Terminal,
    unsupported_lines,
};
use crate::{
    model::Difference,
    operate,
    operate::{
        blueprint,
        plan_file::PlanFile,
        wish::{Decision, Wish, not_compared, too_old},
    },
    plan::{
        Known, Proposal,
        effect::{PlannedEffect, Prospect, in_words, prospects},
        protected, restore,
    },
    plugins::Plugins,
    record::Record,
    report::count,
    seam::Observed,
    stage::{Parameters, Stage, Task, Workflow, parameters::Update},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, HashSet},
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Instances that are named in a row; of more it is said how many.
const NAMED: usize = 6;

/// Shows what install or update would do. Reads only.
pub(crate) fn plan(
    global: &Global,
    args: &BlueprintArgs,
    plan: &PlanArgs,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let path = named::find(args.blueprint.as_deref())?;
    let name = blueprint::deployment_name(args.deployment.as_deref(), &path)?;
    let wish = Wish::read(&workspace, (&path, &name), &args.inputs.inputs, None);
    let wish = wish.map_err(|error| {
        let words = ["plan", &path.display().to_string(), "-d", &name];
        error.repeated(&workspace.caller.command_line(&words))
    })?;
    let parameters = plan.parameters();
    let (observed, preview) = runtime()?.block_on(async {
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let observed = workspace
            .observe(&drivers, &wish.deployment, &wish.known)
            .await?;
        wish.refuse_strangers(&workspace, &drivers, &observed)
            .await?;
        let mut preview = Preview::new(&wish, &observed, parameters);
        preview.too_old = too_old(&drivers, &preview.proposal.stage).await?;
        Ok::<_, operate::Error>((observed, preview))
    })?;
    complain(&preview.too_old.concat());
    complain(&unsupported_lines(&preview.proposal.unsupported));
    if let Some(file) = &plan.out {
        let saved = PlanFile::new(
            &preview.parameters,
            &wish.deployment,
            &observed,
            &preview.proposal.stage,
        );
        let written = write_private(file, &format!("{:#}\n", json!(saved)));
        written.map_err(|error| {
            CliError::usage(format!(
                "the plan cannot be written to {}: {error}",
                file.display()
            ))
        })?;
    }
    let text = match global.output {
        Output::Markdown => preview.to_markdown(),
        _ => coloured(preview.to_text(plan.steps), super::color_result(global)),
    };
    let exit = if plan.exit_code && preview.changes() {
        exit_code(Kind::Different)
    } else {
        0
    };
    Ok(Outcome {
        exit,
        ..Outcome::new(preview.to_json(), text)
    })
}

/// What `install` would do; or `update`, if everything is there and something changed.
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

/// A plan holds what a blueprint says: nobody else need read it.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // One that was there may be readable for all.
    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(text.as_bytes())
}

/// What would be done, and what comes of it.
pub(crate) struct Preview {
    name: String,
    pub parameters: Parameters,
    pub proposal: Proposal,
    differences: Vec<Difference>,
    prospects: Vec<Prospect>,
    conflicts: Vec<String>,
    /// Nodes that the blueprint protects and that something is deleted of.
    protected: Vec<String>,
    /// Ids of the instances that are restored before anything else.
    restores: Vec<String>,
    /// What the engine does not show of objects that another state directory made, by instance.
    not_compared: BTreeMap<String, Vec<String>>,
    too_old: Vec<String>,
}

impl Preview {
    pub(crate) fn new(wish: &Wish, observed: &Observed, rolling: Update) -> Self {
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

    fn changes(&self) -> bool {
        !self.proposal.stage.is_empty() || !self.differences.is_empty()
    }

    fn to_json(&self) -> Json {
        json!({
            "deployment": self.name,
            "workflow": self.parameters.workflow(),
            "changes": self.changes(),
            "instances": self.prospects.iter().map(prospect_json).collect::<Vec<_>>(),
            "steps": steps(&self.proposal.stage),
            "differences": self.differences.iter().map(Difference::to_json).collect::<Vec<_>>(),
            "conflicts": self.conflicts,
            "protected": self.protected,
            "restores": self.restores,
            "not_compared": self.not_compared,
            "unsupported": self.proposal.unsupported,
            "too_old": self.too_old,
        })
    }

    /// Differences that no instance shows: of outputs, and of nodes whose instances stay as they
    /// are.
    fn others(&self) -> impl Iterator<Item = &Difference> {
        let touched: HashSet<&str> = self
            .touched()
            .map(|prospect| prospect.node.as_str())
            .collect();
        let is_shown = move |field: &str| {
            field.strip_prefix("nodes.").is_some_and(|field| {
                touched.iter().any(|node| {
                    field
                        .strip_prefix(node)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
            })
        };
        self.differences
            .iter()
            .filter(move |difference| !is_shown(&difference.field))
    }

    fn touched(&self) -> impl Iterator<Item = &Prospect> {
        self.prospects
            .iter()
            .filter(|prospect| prospect.effect != PlannedEffect::None)
    }

    fn to_text(&self, steps: bool) -> String {
        if !self.changes() {
            return format!(
                "`{}` is up to date: nothing to do\n{}",
                self.name,
                self.unseen().concat()
            );
        }
        let mut text = format!("{} of `{}`:\n", self.parameters.workflow(), self.name);
        text.extend(self.restoration().map(|words| format!("  ~ {words}\n")));
        for prospect in self.touched() {
            text += &prospect_text(prospect);
            if steps {
                let tasks = prospect
                    .tasks
                    .iter()
                    .map(|id| self.proposal.stage.task(*id));
                text.extend(
                    tasks.map(|task| format!("        {:<9} {}\n", task.operation, task.step)),
                );
            }
        }
        text.extend(
            self.others()
                .map(|difference| format!("  ~ {difference}\n")),
        );
        text.extend(
            self.conflicts
                .iter()
                .map(|name| format!("conflict: {}\n", conflict(name))),
        );
        text.extend(
            self.protection()
                .map(|words| format!("protected: {words}\n")),
        );
        text.extend(self.unseen());
        text + &self.closing()
    }

    fn unseen(&self) -> Vec<String> {
        unseen_lines(&self.not_compared)
    }

    fn restoration(&self) -> Option<String> {
        (!self.restores.is_empty()).then(|| {
            format!(
                "restored first, because the last run did not finish: {}",
                named(&self.restores)
            )
        })
    }

    fn protection(&self) -> Option<String> {
        let nodes = self.protected.join(", ");
        (!nodes.is_empty()).then(|| format!("this deletes containers or data of {nodes}; it is only done with --yes, or once confirmed"))
    }

    fn closing(&self) -> String {
        if self.touched().next().is_none() {
            return "nothing is touched; only what is remembered of it changes\n".to_owned();
        }
        let idle = self
            .prospects
            .iter()
            .filter(|prospect| prospect.effect == PlannedEffect::None)
            .count();
        let words = in_words(&self.prospects);
        let words = if words.is_empty() {
            "no instance is touched".to_owned()
        } else {
            words
        };
        let idle = if idle > 0 {
            format!(", {idle} unchanged")
        } else {
            String::new()
        };
        format!(
            "{words}{idle}; {}\n",
            count(self.proposal.stage.tasks().len(), "step")
        )
    }

    /// For a comment on a pull request.
    fn to_markdown(&self) -> String {
        if !self.changes() {
            return format!(
                "### `{}`: nothing to do\n\nWhat runs is what the blueprint says.\n",
                self.name
            );
        }
        let mut text = format!(
            "### {} of `{}`\n\n| | instance | effect | because |\n|---|---|---|---|\n",
            self.parameters.workflow(),
            self.name
        );
        text.extend(self.touched().map(|it| {
            format!(
                "| `{}` | `{}` | {} | {} |\n",
                it.effect.sign(),
                it.instance,
                it.effect,
                it.because
            )
        }));
        let fields = self.touched().flat_map(|it| {
            it.fields
                .iter()
                .flat_map(|field| diff_lines(&it.instance, field))
        });
        let fields: String = fields
            .chain(self.others().flat_map(|field| diff_lines("", field)))
            .collect();
        if !fields.is_empty() {
            text += &format!("\n```diff\n{fields}```\n");
        }
        text.extend(
            self.restoration()
                .map(|words| format!("\n> **restore:** {words}\n")),
        );
        let no_rollback = self
            .touched()
            .filter_map(|it| Some((&it.instance, it.no_rollback.as_ref()?)));
        text.extend(no_rollback.map(|(id, why)| format!("\n> **no rollback** of `{id}`: {why}\n")));
        text.extend(
            self.conflicts
                .iter()
                .map(|name| format!("\n> **conflict:** {}\n", conflict(name))),
        );
        text.extend(
            self.protection()
                .map(|words| format!("\n> **protected:** {words}\n")),
        );
        text.extend(self.unseen().iter().map(|line| format!("\n> {line}")));
        text + &format!("\n{}", self.closing())
    }
}

/// The fields of each instance that cannot be compared, a line each.
pub(crate) fn unseen_lines(not_compared: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let line = |(id, fields): (&String, &Vec<String>)| {
        format!(
            "not compared: {id}: {}: another state directory made it, and the engine does not show these\n",
            fields.join(", ")
        )
    };
    not_compared.iter().map(line).collect()
}

/// The lines with a sign in the colour of what they mean.
fn coloured(text: String, color: bool) -> String {
    let code = |line: &str| match line.strip_prefix("  ").and_then(|line| line.chars().next()) {
        Some('+') => Some(32),
        Some('-' | '!') => Some(31),
        Some('±') => Some(35),
        Some('~') => Some(36),
        _ => None,
    };
    if !color {
        return text;
    }
    let line = |line: &str| {
        code(line).map_or_else(
            || format!("{line}\n"),
            |code| format!("\x1b[{code}m{line}\x1b[0m\n"),
        )
    };
    text.lines().map(line).collect()
}

fn conflict(name: &str) -> String {
    format!(
        "the name `{name}` is taken by a container that is not of this deployment; it will fail there"
    )
}

fn diff_lines(of: &str, difference: &Difference) -> Vec<String> {
    let json = difference.to_json();
    let of = if of.is_empty() {
        String::new()
    } else {
        format!("{of}: ")
    };
    let line = |sign: char, value: &Json| {
        (!value.is_null()).then(|| format!("{sign} {of}{} = {value}\n", difference.field))
    };
    [line('-', &json["before"]), line('+', &json["after"])]
        .into_iter()
        .flatten()
        .collect()
}

fn prospect_text(prospect: &Prospect) -> String {
    let Prospect {
        instance,
        effect,
        because,
        fields,
        no_rollback,
        used_by,
        after,
        ..
    } = prospect;
    let after = if after.is_empty() {
        String::new()
    } else {
        format!(", after {}", named(after))
    };
    let mut text = format!(
        "  {} {instance}  {effect}: {because}{after}\n",
        effect.sign()
    );
    text.extend(fields.iter().map(|field| format!("      {field}\n")));
    text.extend(
        no_rollback
            .iter()
            .map(|why| format!("      no rollback: {why}\n")),
    );
    if matches!(effect, PlannedEffect::Recreate | PlannedEffect::Remove) && !used_by.is_empty() {
        text += &format!("      used by {}\n", named(used_by));
    }
    text
}

fn named(names: &[String]) -> String {
    let more = if names.len() > NAMED {
        format!(" and {} more", names.len() - NAMED)
    } else {
        String::new()
    };
    format!(
        "{}{more}",
        names
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn prospect_json(prospect: &Prospect) -> Json {
    json!({
        "id": prospect.instance,
        "node": prospect.node,
        "effect": prospect.effect,
        "because": prospect.because,
        "fields": prospect.fields.iter().map(Difference::to_json).collect::<Vec<_>>(),
        "no_rollback": prospect.no_rollback,
        "used_by": prospect.used_by,
        "steps": prospect.tasks,
    })
}

fn steps(stage: &Stage) -> Vec<Json> {
    let step = |(id, task): (usize, &Task)| {
        json!({
            "id": id,
            "instance": task.instance,
            "node": task.node,
            "operation": task.operation,
            "step": task.step.to_string(),
            "because": task.cause,
            "after": task.needs,
        })
    };
    stage.tasks().iter().enumerate().map(step).collect()
}

/// Names that are wanted for a new container and taken by one that is not ours.
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

/// The effects on instances, a paragraph each, without those that stay as they are.
pub(crate) fn prospect_lines(prospects: &[Prospect]) -> String {
    prospects
        .iter()
        .filter(|prospect| prospect.effect != PlannedEffect::None)
        .map(prospect_text)
        .collect()
}

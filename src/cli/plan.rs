//! `dockctl plan`.

use super::{
    Outcome, Style,
    args::{BlueprintArgs, Global, Output, PlanArgs},
    error::{CliError, Kind, exit_code},
    print_error, runtime, selection,
    terminal::Terminal,
    unseen, unsupported_lines,
};
use crate::{
    model::Difference,
    operate::{
        Workspace,
        blueprint::{self, Origin},
        group,
        preview::{self, Preview},
    },
    plan::effect::{InstanceEffect, PlannedEffect, tally_text},
    printable::{on_one_line, printable},
    report::count,
    stage::{Exchange, Stage, Task},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, HashSet},
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Maximum number of instances that one line names; the others are counted.
const MAX_NAMES: usize = 6;

/// Returns the blueprint and the name of the deployment to plan. A group that is named without a
/// file is planned from its stored specification.
fn subject<'w>(
    args: &BlueprintArgs,
    workspace: Workspace<'w>,
) -> Result<(Origin, String, Workspace<'w>), CliError> {
    let given = args.deployment.as_deref();
    let path = selection::origin(args.blueprint.as_deref());
    if let (Err(_), None, Some(name)) = (&path, &args.blueprint, given)
        && let Some((origin, settings)) = group::stored(&workspace, name)?
    {
        let workspace = Workspace::new(settings, workspace.caller);
        return Ok((origin, name.to_owned(), workspace));
    }
    let path = path?;
    let name = blueprint::deployment_name(given, &path, &workspace.settings)?;
    Ok((path, name, workspace))
}

/// Shows the changes that install or update would make. Reads only.
pub(crate) fn plan(
    global: &Global,
    args: &BlueprintArgs,
    plan: &PlanArgs,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let (origin, name, mut workspace) = subject(args, workspace)?;
    workspace.settings.asks_registry = plan.pull;
    let previewed = preview::preview(
        &workspace,
        (&origin, &name),
        &args.inputs.inputs,
        plan.parameters(),
    );
    let previewed = runtime()?.block_on(previewed)?;
    let preview = &previewed.preview;
    print_error(&preview.unmet.concat());
    print_error(&unsupported_lines(&preview.proposal.unsupported));
    if let Some(file) = &plan.out {
        let saved = json!(previewed.plan_file()?);
        let written = write_private(file, &format!("{saved:#}\n"));
        written.map_err(|error| {
            CliError::usage(format!(
                "cannot write the plan to {}: {error}",
                file.display()
            ))
            .hint("write it to another file: --out FILE")
        })?;
    }
    let (text, style) = if global.output == Output::Markdown {
        (PreviewText(preview).to_markdown(), Style::Plain)
    } else {
        let text = printable(&PreviewText(preview).to_text(plan.steps));
        let shown = super::charset().show(&text).into_owned();
        (colored(&shown, super::color_stdout(global)), Style::Colored)
    };
    let exit = if plan.exit_code && preview.has_changes() {
        exit_code(Kind::Different)
    } else {
        0
    };
    let outcome = Outcome {
        exit,
        style,
        ..Outcome::new(PreviewText(preview).to_json(), text)
    };
    unseen::complete(outcome, &preview.unseen)
}

/// Writes a file that only its owner can read: a plan contains the blueprint.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // An existing file may be readable by others.
    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(text.as_bytes())
}

/// A preview, for output as text and JSON.
struct PreviewText<'p>(&'p Preview);

impl PreviewText<'_> {
    fn to_json(&self) -> Json {
        json!({
            "deployment": self.0.name,
            "workflow": self.0.parameters.workflow(),
            "changes": self.0.has_changes(),
            "instances": self.0.effects.iter().map(|it| self.effect_json(it)).collect::<Vec<_>>(),
            "steps": steps(&self.0.proposal.stage),
            "differences": self.0.differences.iter().map(Difference::to_json).collect::<Vec<_>>(),
            "conflicts": self.0.conflicts,
            "lost_data": self.0.proposal.lost_data,
            "followers": self.0.proposal.followers,
            "foreign_sharers": self.0.proposal.foreign_sharers,
            "stranded": self.0.proposal.stranded,
            "address_risks": self.0.proposal.address_risks,
            "taken_addresses": self.0.proposal.taken_addresses,
            "protected": self.0.protected,
            "restores": self.0.restored,
            "exchanges": self.0.proposal.stage.exchanges,
            "not_compared": self.0.not_compared,
            "unsupported": self.0.proposal.unsupported,
            "too_old": self.0.unmet,
            "not_kept": self.0.not_kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        })
    }

    /// Returns the differences that no instance shows: those of outputs, and of nodes with
    /// unchanged instances.
    fn other_differences(&self) -> impl Iterator<Item = &Difference> {
        let touched: HashSet<&str> = self
            .changed_instances()
            .map(|effect| effect.node.as_str())
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
        self.0
            .differences
            .iter()
            .filter(move |difference| !is_shown(&difference.field))
    }

    fn changed_instances(&self) -> impl Iterator<Item = &InstanceEffect> {
        self.0
            .effects
            .iter()
            .filter(|effect| effect.effect != PlannedEffect::None)
    }

    fn to_text(&self, steps: bool) -> String {
        if !self.0.has_changes() {
            return self.nothing_to_do() + &self.uncompared().concat();
        }
        let mut text = format!("{} of `{}`:\n", self.0.parameters.workflow(), self.0.name);
        text.extend(self.restoration().map(|words| format!("  ~ {words}\n")));
        for effect in self.changed_instances() {
            text += &effect_text(effect);
            if steps {
                let tasks = effect
                    .tasks
                    .iter()
                    .map(|id| self.0.proposal.stage.task(*id));
                text.extend(
                    tasks.map(|task| format!("        {:<9} {}\n", task.operation, task.step)),
                );
            }
        }
        text.extend(
            self.other_differences()
                .map(|difference| format!("  ~ {difference}\n")),
        );
        text += &exchange_lines(&self.0.proposal.stage.exchanges);
        let followers = self.0.proposal.followers.iter();
        text.extend(followers.map(|it| format!("  ~ {it}\n")));
        let warnings = self.0.proposal.warnings();
        text.extend(warnings.iter().map(|it| format!("warning: {it}\n")));
        text.extend(
            self.0
                .conflicts
                .iter()
                .map(|name| format!("conflict: {}\n", conflict(name))),
        );
        text.extend(
            self.protection()
                .map(|words| format!("protected: {words}\n")),
        );
        text.extend(self.uncompared());
        text.extend(self.not_kept());
        text + &self.closing()
    }

    /// Returns a note in Markdown for each engine that did not respond.
    fn unseen_notes(&self) -> String {
        let lines = self.0.unseen.iter().map(unseen::unseen_line);
        lines
            .map(|line| format!("\n> {}\n", markdown_text(&line)))
            .collect()
    }

    fn effect_json(&self, effect: &InstanceEffect) -> Json {
        let mut json = effect_json(effect);
        json["unseen"] = self.is_unseen(effect).into();
        json
    }

    fn is_unseen(&self, effect: &InstanceEffect) -> bool {
        let mut unseen = self.0.unseen.iter().flat_map(|it| &it.instances);
        unseen.any(|id| *id == effect.instance)
    }

    fn nothing_to_do(&self) -> String {
        let name = &self.0.name;
        if self.0.unseen.is_empty() {
            format!("`{name}` is up to date: nothing to do\n")
        } else {
            format!("`{name}`: nothing to do on the engines that responded\n")
        }
    }

    fn uncompared(&self) -> Vec<String> {
        uncompared_lines(&self.0.not_compared)
    }

    fn not_kept(&self) -> Option<String> {
        let names = self
            .0
            .not_kept
            .iter()
            .map(|path| path.display().to_string());
        let names: Vec<String> = names.map(|name| printable(&name)).collect();
        (!names.is_empty()).then(|| {
            format!(
                "not kept in the state directory, because of its limits (16 MiB a file, 256 MiB in all): {}\n",
                name_list(&names)
            )
        })
    }

    fn restoration(&self) -> Option<String> {
        (!self.0.restored.is_empty()).then(|| {
            format!(
                "restored first, because the last run did not finish: {}",
                name_list(&self.0.restored)
            )
        })
    }

    fn protection(&self) -> Option<String> {
        let nodes = self.0.protected.join(", ");
        (!nodes.is_empty()).then(|| {
            format!("this deletes containers or data of {nodes}; requires --yes or confirmation")
        })
    }

    fn closing(&self) -> String {
        if self.changed_instances().next().is_none() {
            return if self.0.unseen.is_empty() {
                "no instance changes; only the stored deployment is updated\n".to_owned()
            } else {
                "no instance changes on the engines that responded\n".to_owned()
            };
        }
        let idle = self
            .0
            .effects
            .iter()
            .filter(|effect| effect.effect == PlannedEffect::None && !self.is_unseen(effect))
            .count();
        let words = tally_text(&self.0.effects);
        let words = if words.is_empty() {
            "no instance changes".to_owned()
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
            count(self.0.proposal.stage.tasks().len(), "step")
        )
    }

    /// Returns the notes below the table of a preview in Markdown.
    fn markdown_notes(&self) -> String {
        let proposal = &self.0.proposal;
        let no_rollback = self.changed_instances().filter_map(|it| {
            let why = it.no_rollback.as_ref()?;
            Some(format!("no rollback of {}: {why}", it.instance))
        });
        let exchanges = exchange_texts(&proposal.stage.exchanges);
        let exchanges = exchanges.map(|(who, what)| format!("{who}: {}", what.join("; ")));
        let conflicts = self.0.conflicts.iter().map(|name| conflict(name));
        let followers = proposal.followers.iter().map(ToString::to_string);
        let groups: [(&str, Vec<String>); 7] = [
            ("restore", self.restoration().into_iter().collect()),
            ("no rollback", no_rollback.collect()),
            ("exchange", exchanges.collect()),
            ("followers", followers.collect()),
            ("warning", proposal.warnings()),
            ("conflict", conflicts.collect()),
            ("protected", self.protection().into_iter().collect()),
        ];
        let note =
            |title: &str, text: &String| format!("\n> **{title}:** {}\n", markdown_text(text));
        let notes = groups
            .iter()
            .flat_map(|(title, texts)| texts.iter().map(|it| note(title, it)));
        let notes: String = notes.collect();
        let uncompared = self.uncompared();
        let uncompared = uncompared
            .iter()
            .map(|line| format!("\n> {}\n", markdown_text(line)));
        notes + &uncompared.collect::<String>() + &self.unseen_notes()
    }

    /// Returns the preview as Markdown, for a comment on a pull request.
    fn to_markdown(&self) -> String {
        if !self.0.has_changes() {
            let name = &self.0.name;
            let unseen = self.unseen_notes();
            let why = if unseen.is_empty() {
                "The deployment matches the blueprint.\n"
            } else {
                "The instances on the engines that responded match the blueprint.\n"
            };
            return format!(
                "### {}: nothing to do\n\n{why}{unseen}",
                markdown_code(name)
            );
        }
        let mut text = format!(
            "### {} of {}\n\n| | instance | effect | reason |\n|---|---|---|---|\n",
            self.0.parameters.workflow(),
            markdown_code(&self.0.name)
        );
        text.extend(self.changed_instances().map(|it| {
            format!(
                "| `{}` | {} | {} | {} |\n",
                it.effect.sign(),
                markdown_code(&it.instance),
                it.effect,
                markdown_text(&it.reason)
            )
        }));
        let fields = self.changed_instances().flat_map(|it| {
            it.fields
                .iter()
                .flat_map(|field| diff_lines(&it.instance, field))
        });
        let fields: String = fields
            .chain(
                self.other_differences()
                    .flat_map(|field| diff_lines("", field)),
            )
            .collect();
        if !fields.is_empty() {
            text += &format!("\n```diff\n{fields}```\n");
        }
        text + &self.markdown_notes() + &format!("\n{}", self.closing())
    }
}

/// Returns a text for a line or a cell of Markdown.
fn markdown_text(text: &str) -> String {
    let text = on_one_line(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('|', "\\|")
}

/// Returns a text as code in Markdown.
fn markdown_code(text: &str) -> String {
    let text = on_one_line(text).replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// Returns a paragraph for each exchange.
pub(crate) fn exchange_lines(exchanges: &[Exchange]) -> String {
    let paragraph = |(who, what): (String, Vec<String>)| {
        let lines = what.iter().map(|line| format!("    {line}\n"));
        format!("exchange: {who}\n{}", lines.collect::<String>())
    };
    exchange_texts(exchanges).map(paragraph).collect()
}

/// Returns, for each exchange, who is down, and lines about the resources.
fn exchange_texts(exchanges: &[Exchange]) -> impl Iterator<Item = (String, Vec<String>)> {
    exchanges.iter().map(|exchange| {
        let handed_on = exchange.handed_on.iter();
        let lines = handed_on.map(|it| format!("{}: {} → {}", it.resource, it.from, it.to));
        let who = match &exchange.holders[..] {
            [] => "no instance is down".to_owned(),
            [only] => format!("{only} stops before the others start"),
            all => format!("{} are down at the same time", name_list(all)),
        };
        (who, lines.collect())
    })
}

/// Returns a line for each instance with fields that cannot be compared.
pub(crate) fn uncompared_lines(not_compared: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let line = |(id, fields): (&String, &Vec<String>)| {
        format!(
            "not compared: {id}: {}: another state directory created it, and the engine does not report these fields\n",
            fields.join(", ")
        )
    };
    not_compared.iter().map(line).collect()
}

/// Colors each line that starts with a sign.
fn colored(text: &str, color: bool) -> String {
    let code = |line: &str| match line.strip_prefix("  ").and_then(|line| line.chars().next()) {
        Some('+') => Some(32),
        Some('-' | '!') => Some(31),
        Some('±' | '*') => Some(35),
        Some('~') => Some(36),
        _ => None,
    };
    if !color {
        return text.to_owned();
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
        "the name `{name}` is taken by a container outside this deployment; creating the container will fail"
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
        let text = || on_one_line(&format!("{sign} {of}{} = {value}", difference.field));
        (!value.is_null()).then(|| text() + "\n")
    };
    [line('-', &json["before"]), line('+', &json["after"])]
        .into_iter()
        .flatten()
        .collect()
}

fn effect_text(effect: &InstanceEffect) -> String {
    let InstanceEffect {
        instance,
        effect,
        reason: because,
        fields,
        no_rollback,
        dependents: used_by,
        after,
        ..
    } = effect;
    let after = if after.is_empty() {
        String::new()
    } else {
        format!(" (after {})", name_list(after))
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
        text += &format!("      used by {}\n", name_list(used_by));
    }
    text
}

fn name_list(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES {
        format!(" and {} more", names.len() - MAX_NAMES)
    } else {
        String::new()
    };
    format!(
        "{}{more}",
        names
            .iter()
            .take(MAX_NAMES)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn effect_json(effect: &InstanceEffect) -> Json {
    json!({
        "id": effect.instance,
        "node": effect.node,
        "effect": effect.effect,
        "because": effect.reason,
        "fields": effect.fields.iter().map(Difference::to_json).collect::<Vec<_>>(),
        "no_rollback": effect.no_rollback,
        "used_by": effect.dependents,
        "steps": effect.tasks,
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

/// Returns a paragraph for each instance that changes.
pub(crate) fn effect_lines(effects: &[InstanceEffect]) -> String {
    effects
        .iter()
        .filter(|effect| effect.effect != PlannedEffect::None)
        .map(effect_text)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{diff_lines, markdown_code, markdown_text};
    use crate::model::Difference;

    #[test]
    fn fields_do_not_leave_the_block_of_differences() {
        let difference = Difference {
            field: "labels.a\n```\n<img>\n::error::x".to_owned(),
            before: None,
            after: Some("y\n```".into()),
        };
        let lines = diff_lines("web", &difference);
        let text = "+ web: labels.a / ``` / <img> / ::error::x = \"y\\n```\"\n";
        assert_eq!(lines, [text]);
        assert_eq!(difference.to_string().lines().count(), 1);
    }

    #[test]
    fn names_are_escaped_in_markdown() {
        assert_eq!(markdown_code("a|b\n::c"), "`a\\|b / ::c`");
        assert_eq!(markdown_code("a`b"), "`` a`b ``");
        assert_eq!(markdown_text("<b>|&"), "&lt;b&gt;\\|&amp;");
    }
}

//! `dockctl executions`.

use super::{
    Outcome,
    args::{ExecutionArgs, Global, Output, ProgressMode},
    error::CliError,
    run::execution_json,
    selection,
    terminal::Terminal,
};
use crate::{
    event::{self, Entry, Event, LogEntry},
    operate::Workspace,
    record::{Execution, Record},
    report::{self, JsonLines, Junit, Plain, Reporter as _, table::table_to_fit},
    seam::LogLine,
    stage::Workflow,
};
use serde_json::{Value as Json, json};

/// Lists the executions of a deployment, or shows all events or the log of one.
pub(crate) fn executions(
    global: &Global,
    (id, is_log): (Option<&str>, bool),
    given: Option<&str>,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let (name, id) = selected(&workspace, id, given)?;
    let id = id.as_deref();
    let record = workspace.record(&name)?;
    match id {
        Some(id) if is_log => {
            find(&name, id, &record)?;
            Ok(show_log(&name, id, &workspace.state.log(&name, id)?))
        }
        Some(id) => show_execution(global, &name, id, &record, workspace.state.entries(&name)?),
        None if global.output == Output::Junit => Err(CliError::usage(
            "`--output junit` needs the ID of an execution",
        )),
        None => Ok(list_executions(
            &name,
            &record,
            workspace.state.holder(&name)?.is_some(),
        )),
    }
}

/// Returns the deployment and the execution ID. An ID alone is searched in all deployments.
fn selected(
    workspace: &Workspace<'_>,
    id: Option<&str>,
    given: Option<&str>,
) -> Result<(String, Option<String>), CliError> {
    if id.is_none() || given.is_some() {
        return Ok((
            selection::name_to_read(workspace, given)?,
            id.map(str::to_owned),
        ));
    }
    let found = selection::execution(
        workspace,
        &ExecutionArgs {
            execution: id.map(str::to_owned),
            deployment: None,
        },
    );
    Ok(found?)
}

fn list_executions(name: &str, record: &Record, busy: bool) -> Outcome {
    let fields = json!({ "deployment": name, "executions": record.executions.iter().map(execution_json).collect::<Vec<Json>>() });
    let rows: Vec<Vec<String>> = record
        .executions
        .iter()
        .map(|execution| row(execution, busy))
        .collect();
    let text = table_to_fit(
        &[
            "EXECUTION",
            "WORKFLOW",
            "STARTED",
            "OUTCOME",
            "STEPS",
            "FIRST CAUSE",
        ],
        &rows,
        super::table_screen(),
        &[4],
    );
    Outcome::new(
        fields,
        if record.executions.is_empty() {
            "no executions yet\n".to_owned()
        } else {
            text
        },
    )
}

/// Returns every failure in full, with place, container and hints.
fn failures(execution: &Execution) -> String {
    execution
        .failed
        .iter()
        .map(|failed| format!("\n{}", report::failure_text(failed)))
        .collect()
}

fn row(execution: &Execution, busy: bool) -> Vec<String> {
    // An execution without an outcome was interrupted, unless a process holds the deployment.
    let unfinished = if busy {
        "running"
    } else {
        event::Outcome::Interrupted.as_str()
    };
    let cause = execution.failed.first().map(|failed| {
        format!(
            "{}.{}: {}",
            failed.instance, failed.operation, failed.failure.message
        )
    });
    vec![
        execution.id.clone(),
        match (&execution.of, execution.workflow()) {
            (Some(of), Workflow::Rollback) => format!("rollback (of {of})"),
            (Some(of), workflow) => format!("{workflow} (resumes {of})"),
            (None, workflow) => workflow.to_string(),
        },
        event::timestamp(execution.started),
        execution
            .outcome
            .map_or(unfinished, event::Outcome::as_str)
            .to_owned(),
        format!("{}/{}", execution.done, execution.tasks),
        cause.unwrap_or_else(|| "-".to_owned()),
    ]
}

/// Returns an execution of a deployment.
fn find<'r>(name: &str, id: &str, record: &'r Record) -> Result<&'r Execution, CliError> {
    let mut executions = record.executions.iter();
    let found = executions.find(|execution| execution.id == id);
    found.ok_or_else(|| {
        CliError::usage(format!("`{name}` has no execution `{id}`"))
            .hint(format!("list the executions: dockctl executions -d {name}"))
    })
}

/// Shows the log of an execution: output of scripts, and lines that they logged.
fn show_log(name: &str, id: &str, log: &[LogEntry]) -> Outcome {
    let object = |line: &LogEntry| {
        json!({
            "at": event::timestamp(line.at),
            "instance": line.instance,
            "operation": line.operation,
            "level": line.level,
            "text": line.text,
        })
    };
    let line = |line: &LogEntry| {
        let shown = LogLine::new(line.level, line.text.as_str());
        let (at, instance, operation) =
            (event::timestamp(line.at), &line.instance, &line.operation);
        format!("{at} [{instance}.{operation}] {shown}\n")
    };
    let log_json: Vec<Json> = log.iter().map(object).collect();
    let text: String = log.iter().map(line).collect();
    let fields = json!({ "deployment": name, "execution": id, "log": log_json });
    Outcome::new(
        fields,
        if text.is_empty() {
            "no script of this execution wrote or logged anything\n".to_owned()
        } else {
            super::charset().show(&text).into_owned()
        },
    )
}

/// Replays the events of one execution through the reporters that also show live runs.
fn show_execution(
    global: &Global,
    name: &str,
    id: &str,
    record: &Record,
    (mut replayed, entries): (Record, Vec<Entry>),
) -> Result<Outcome, CliError> {
    let execution = find(name, id, record)?;
    let (mut inside, mut events) = (false, Vec::new());
    let (mut lines, mut objects, mut junit) = (
        Plain {
            out: Vec::new(),
            charset: super::charset(),
        },
        JsonLines { out: Vec::new() },
        Junit::default(),
    );
    for entry in &entries {
        // Errors were reported when the record was read.
        let _ = replayed.apply(entry);
        match &entry.event {
            Event::ExecutionStarted { execution, .. } => inside = execution == id,
            Event::Recovered { .. } | Event::Freed => inside = false,
            _ => {}
        }
        if inside {
            lines.report(&replayed, entry);
            objects.report(&replayed, entry);
            junit.record(&replayed, entry);
            events.push(json!({ "at": event::timestamp(entry.at), "event": entry.event }));
        }
        inside &= !matches!(entry.event, Event::ExecutionFinished { .. });
    }
    let fields =
        json!({ "deployment": name, "execution": execution_json(execution), "events": events });
    let text = match (global.output, global.progress) {
        (Output::Junit, _) => junit.to_xml(),
        (_, ProgressMode::Json) => String::from_utf8_lossy(&objects.out).into_owned(),
        _ => format!(
            "{}{}",
            String::from_utf8_lossy(&lines.out),
            failures(execution)
        ),
    };
    Ok(Outcome::new(fields, text))
}

//! `dockctl logs`.

use super::{
    Outcome,
    args::{Global, LogsArgs},
    error::CliError,
    print,
    target::{Target, engine, require, targets},
    workspace::Workspace,
};
use crate::backend::{Failure, docker::Excerpt};
use bollard::container::LogOutput;
use futures_util::{StreamExt as _, stream::SelectAll};
use serde_json::{Value as Json, json};
use std::time::SystemTime;

/// Colours of the names before the lines, of the 256: none of them is unreadable on light or on dark, and none says that something
/// is wrong.
const COLOURS: [u8; 6] = [33, 166, 35, 133, 37, 99];

/// Shows what containers write.
pub(crate) fn logs(global: &Global, args: &LogsArgs) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name_to_read(args.instances.deployment.as_deref())?;
    let record = workspace.record(&name)?;
    let targets = targets(&workspace, &record, &args.instances.instances)?;
    record.deployment.iter().for_each(|deployment| workspace.secrets.learn(&json!(deployment)));
    let since = args.since.as_deref().map(since).transpose()?;
    let excerpt = Excerpt { follow: args.follow, since, tail: args.tail, timestamps: args.timestamps };
    Workspace::runtime()?.block_on(show(&workspace, &name, &targets, excerpt, args.no_prefix))
}

/// `10m` ago, or a time such as 2026-01-31T12:00:00Z.
fn since(text: &str) -> Result<i32, CliError> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    let at = ago.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let seconds = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).and_then(|since| i32::try_from(since.as_secs()).ok());
    seconds.ok_or_else(|| CliError::usage(format!("`{text}` is no time")).hint("such as 10m, 2h, or 2026-01-31T12:00:00Z"))
}

/// Lines of one container that have not all come yet.
struct Pending {
    prefix: String,
    instance: String,
    rest: Vec<u8>,
}

async fn show(workspace: &Workspace<'_>, name: &str, targets: &[Target], excerpt: Excerpt, bare: bool) -> Result<Outcome, CliError> {
    let engines = workspace.engines()?;
    let width = targets.iter().map(|target| target.instance.len()).max().unwrap_or_default();
    let mut pending: Vec<Pending> = Vec::new();
    let mut all = SelectAll::new();
    for (at, target) in targets.iter().enumerate() {
        let prefix = if bare || targets.len() == 1 { String::new() } else { prefix(workspace.global, at, &target.instance, width) };
        pending.push(Pending { prefix, instance: target.instance.clone(), rest: Vec::new() });
        let engine = engine(&engines, target).await?;
        require(&engine, target, name).await?;
        let pieces = engine.excerpt(&target.container, excerpt);
        all.push(pieces.map(move |piece| (at, piece)).boxed());
    }
    let mut interrupted = super::interrupts()?;
    let mut lines = Lines { workspace, collected: Vec::new() };
    loop {
        let piece = tokio::select! {
            piece = all.next() => piece,
            _ = interrupted.recv() => None,
        };
        let Some((at, piece)) = piece else { break };
        if !lines.take(&mut pending[at], piece)? {
            break;
        }
    }
    for it in &mut pending {
        lines.rest(it);
    }
    Ok(Outcome { silent: !lines.is_json(), ..Outcome::new(json!({ "lines": lines.collected }), "") })
}

/// Where lines go.
struct Lines<'a> {
    workspace: &'a Workspace<'a>,
    /// For a JSON document.
    collected: Vec<Json>,
}

impl Lines<'_> {
    fn is_json(&self) -> bool {
        self.workspace.global.output == super::args::Output::Json
    }

    /// Writes the lines that are complete; false once nobody reads them.
    fn take(&mut self, pending: &mut Pending, piece: Result<LogOutput, Failure>) -> Result<bool, CliError> {
        pending.rest.extend_from_slice(&piece?.into_bytes());
        let Some(end) = pending.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(true) };
        let complete: Vec<u8> = pending.rest.drain(..=end).collect();
        Ok(self.write(pending, &complete))
    }

    fn rest(&mut self, pending: &mut Pending) {
        let rest = std::mem::take(&mut pending.rest);
        if !rest.is_empty() {
            self.write(pending, &rest);
        }
    }

    fn write(&mut self, pending: &Pending, bytes: &[u8]) -> bool {
        let text = self.workspace.secrets.scrub(&String::from_utf8_lossy(bytes));
        let lines = text.lines().map(|line| line.trim_end_matches('\r'));
        if self.is_json() {
            self.collected.extend(lines.map(|line| json!({ "instance": pending.instance, "line": line })));
            return true;
        }
        print(&lines.map(|line| format!("{}{line}\n", pending.prefix)).collect::<String>())
    }
}

fn prefix(global: &Global, at: usize, instance: &str, width: usize) -> String {
    let name = format!("{instance:<width$} | ");
    if super::color_result(global) { format!("\x1b[38;5;{}m{name}\x1b[0m", COLOURS[at % COLOURS.len()]) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_as_one_thinks_of_them() {
        let now = i32::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let ago = since("10m").unwrap();
        assert!((now - 600 - ago).abs() <= 1, "{ago}");
        assert_eq!(since("1970-01-01T00:01:00Z").unwrap(), 60);
        assert_eq!(since("yesterday").unwrap_err().message, "`yesterday` is no time");
    }
}

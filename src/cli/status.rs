//! `dockctl status`, and the closing table of every run.

use super::{
    Outcome, Style,
    args::{Global, Output, StatusArgs},
    claims,
    error::{CliError, Kind, exit_code},
    runtime, selection,
    terminal::Terminal,
    unseen,
};
use crate::{
    discovery::Claim,
    event::{self, now, timestamp},
    instance_record::InstanceRecord,
    model::function::mask,
    model::{Definition, Deployment, Instance, InstanceState},
    operate::{
        Workspace,
        observation::{self, Observation},
    },
    plugins::{InstanceRef, Plugins},
    printable::{printable, printable_lines},
    record::Record,
    report::{
        count,
        table::{Screen, cut, table, table_to_fit},
    },
    seam::{Drift, Namespace, Object, ObjectState, Observed, Unseen},
    secrets::PLACEHOLDER,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// Shows the instances of a deployment, their states and their drift.
pub(crate) fn status(
    global: &Global,
    given: Option<&str>,
    args: &StatusArgs,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name_to_read(&workspace, given)?;
    runtime()?.block_on(async {
        match args.watch {
            None => observe_status(global, &workspace, &name)
                .await?
                .outcome(args),
            Some(seconds) => {
                watch(
                    global,
                    (&workspace, &name),
                    Duration::from_secs_f64(seconds),
                )
                .await
            }
        }
    })
}

/// Refreshes the status until Ctrl-C. On a terminal, each refresh overwrites the previous one on
/// the alternate screen.
async fn watch(
    global: &Global,
    (workspace, name): (&Workspace<'_>, &str),
    pause: Duration,
) -> Result<Outcome, CliError> {
    let stop_requests = workspace.caller.stop_requests()?;
    let overwrites = super::terminal_size().is_some() && global.output == Output::Text;
    let screen = overwrites.then(AlternateScreen::open);
    let mut last = String::new();
    let refreshes = async {
        loop {
            let seen = observe_status(global, workspace, name).await;
            last = if overwrites {
                view_text(&seen)
            } else {
                String::new()
            };
            if !print_status(global, seen, name, overwrites)? {
                return Ok::<(), CliError>(());
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        ended = refreshes => ended?,
        () = stop_requests.wait_for_stop() => {}
    }
    drop(screen);
    super::print_result(&last);
    Ok(Outcome {
        is_written: true,
        ..Outcome::new(json!({}), "")
    })
}

fn view_text(seen: &Result<StatusView, CliError>) -> String {
    seen.as_ref().map(StatusView::text).unwrap_or_default()
}

/// Prints the result of one refresh. Returns false if the reader is gone. An engine error is
/// printed and does not end the watch: the next refresh may succeed.
fn print_status(
    global: &Global,
    seen: Result<StatusView, CliError>,
    name: &str,
    overwrites: bool,
) -> Result<bool, CliError> {
    let color = super::color_stderr(global);
    let title = format!("{name}  {}", timestamp(now()));
    let is_json = global.output == Output::Json;
    let text = match seen {
        Err(error) if error.error.kind != Kind::Engine => return Err(error),
        Err(error) if is_json => {
            let fields = json!({ "deployment": name });
            let document = super::document("status", false, &fields, Some(error.to_json()));
            format!("{document}\n")
        }
        Err(error) if overwrites => format!("\x1b[H{title}\n{}\x1b[J", error.to_text(color)),
        Err(error) => {
            super::print_error(&error.to_text(color));
            String::new()
        }
        Ok(seen) if is_json => {
            let is_complete = seen.unseen.is_empty();
            let mut fields = seen.fields;
            fields["unseen"] = unseen::unseen_json(&seen.unseen);
            let error = (!is_complete).then(|| unseen::error(&seen.unseen).to_json());
            let document = super::document("status", is_complete, &fields, error);
            format!("{document}\n")
        }
        Ok(seen) if overwrites => format!("\x1b[H{}\x1b[J", seen.on_screen(&title)),
        Ok(seen) => format!("{}{}\n", seen.table(&seen.rows), seen.below_watched()),
    };
    Ok(super::print_result(&text))
}

/// The alternate screen of a terminal, with a hidden cursor. Dropping it restores the terminal.
struct AlternateScreen;

impl AlternateScreen {
    fn open() -> Self {
        super::print_result("\x1b[?1049h\x1b[?25l");
        Self
    }
}

impl Drop for AlternateScreen {
    fn drop(&mut self) {
        super::print_result("\x1b[?25h\x1b[?1049l");
    }
}

const HEADER: [&str; 7] = [
    "INSTANCE",
    "STATE",
    "CONTAINER",
    "STATUS",
    "UPTIME",
    "PORTS",
    "DRIFT",
];
/// Maximum number of drifted instances that the last line names.
const MAX_NAMED: usize = 6;
/// Columns that a narrow screen omits, first to last: ports, uptime, state, container.
const OPTIONAL_COLUMNS: [usize; 4] = [5, 4, 1, 2];

/// The result of one refresh.
struct StatusView {
    fields: Json,
    rows: Vec<Vec<String>>,
    /// Text below the table.
    footer: String,
    color: bool,
    /// The engines that did not respond.
    unseen: Vec<Unseen>,
}

impl StatusView {
    fn text(&self) -> String {
        self.table(&self.rows) + &self.below()
    }

    fn below(&self) -> String {
        super::charset().show(&printable(&self.footer)).into_owned()
    }

    /// Returns the text below the table of a watch, which shows no error.
    fn below_watched(&self) -> String {
        let unseen: String = self.unseen.iter().map(unseen::unseen_line).collect();
        unseen + &self.below()
    }

    fn table(&self, rows: &[Vec<String>]) -> String {
        let text = table_to_fit(&HEADER, rows, super::table_screen(), &OPTIONAL_COLUMNS);
        let drift = |at: usize| {
            rows.get(at.checked_sub(1)?)?
                .last()
                .filter(|drift| *drift != "-")
        };
        let colored = |(at, line): (usize, &str)| match drift(at)
            .and_then(|drift| line.strip_suffix(drift.as_str()).zip(Some(drift)))
        {
            Some((rest, drift)) if self.color => format!("{rest}\x1b[31m{drift}\x1b[0m\n"),
            _ => format!("{line}\n"),
        };
        text.lines().enumerate().map(colored).collect()
    }

    fn outcome(self, args: &StatusArgs) -> Result<Outcome, CliError> {
        let drifted = self
            .rows
            .iter()
            .any(|row| row.last().is_some_and(|drift| drift != "-"));
        let exit = if args.exit_code && drifted {
            exit_code(Kind::Different)
        } else {
            0
        };
        let mut text = self.text();
        if args.properties {
            text += &printable(&properties_text(&self.fields));
        }
        text += &self.problems_below(&text);
        let outcome = Outcome {
            exit,
            style: Style::Colored,
            ..Outcome::new(self.fields, text)
        };
        unseen::complete(outcome, &self.unseen)
    }

    /// Returns a line that names the drifted instances, for a text that is longer than the screen.
    fn problems_below(&self, text: &str) -> String {
        let height = super::terminal_size().map_or(usize::MAX, |(height, _)| height);
        let has_drifted = |row: &&Vec<String>| row.last().is_some_and(|drift| drift != "-");
        let drifted: Vec<&Vec<String>> = self.rows.iter().filter(has_drifted).collect();
        if text.lines().count() < height || drifted.is_empty() {
            return String::new();
        }
        let first = drifted.iter().take(MAX_NAMED);
        let described = |row: &&Vec<String>| Some(format!("{} ({})", row.first()?, row.last()?));
        let names: Vec<String> = first.filter_map(described).collect();
        let more = drifted.len() - names.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let (number, all) = (drifted.len(), count(self.rows.len(), "instance"));
        format!("drift of {number} of {all}: {}{more}\n", names.join(", "))
    }

    /// Returns text that fits on the screen, because text that scrolls cannot be overwritten. If
    /// there is not enough room, drifted instances come first. Each line is cleared as it is
    /// written, to avoid flicker.
    fn on_screen(&self, title: &str) -> String {
        let (height, columns) = super::terminal_size().unwrap_or((usize::MAX, usize::MAX));
        let room = height
            .saturating_sub(self.below_watched().lines().count() + 4)
            .max(1);
        let mut rows = self.rows.clone();
        if rows.len() > room {
            rows.sort_by_key(|row| row.last().is_none_or(|drift| drift == "-"));
            rows.truncate(room);
        }
        let omitted = self.rows.len() - rows.len();
        let omitted = if omitted > 0 {
            format!("and {}\n", count(omitted, "more instance"))
        } else {
            String::new()
        };
        let below = self.below_watched();
        let text = format!("{title}\n{}{omitted}{below}", self.table(&rows));
        let text = printable_lines(&text);
        let screen = Screen {
            columns: Some(columns),
            charset: super::charset(),
        };
        cut(&text, screen).replace('\n', "\x1b[K\n")
    }
}

async fn observe_status(
    global: &Global,
    workspace: &Workspace<'_>,
    name: &str,
) -> Result<StatusView, CliError> {
    let Observation {
        record,
        recovered,
        is_freed,
        claims,
        observed,
    } = observation::observe(workspace, name).await?;
    let Some(deployment) = &record.deployment else {
        return Err(CliError::usage(format!("there is no deployment `{name}`")));
    };
    let views: Vec<View<'_>> = deployment
        .instances
        .iter()
        .map(|instance| View::new(deployment, instance, &record, &observed))
        .collect();
    let drifted = views.iter().any(|view| !view.drift.is_empty());
    let holder = workspace.state.holder(name)?;
    let fields = json!({
        "deployment": name,
        "blueprint": deployment.blueprint,
        "installed": record.is_installed() && !is_freed,
        "freed": is_freed,
        "recovered": recovered.is_some(),
        "claims": claims::claims_json(&claims),
        "not_recovered": recovered.iter().flat_map(|it| &it.not_recovered).map(|(name, why)| json!({ "name": name, "reason": why })).collect::<Vec<_>>(),
        "busy": holder,
        "dropped": record.dropped.iter().map(|(instance, _)| instance.id.as_str()).collect::<Vec<_>>(),
        "instances": views.iter().map(View::to_json).collect::<Vec<Json>>(),
    });
    let mut text: String = views.iter().flat_map(View::change_lines).collect();
    text += &dropped_line(&record);
    text.extend(recovered.iter().map(claims::unrecovered_lines));
    text += &claims_notice(name, &claims);
    text += &match (&holder, &recovered) {
        (Some(holder), _) => format!("in use by {holder}\n"),
        (None, _) if is_freed => format!(
            "`{name}` was freed: its objects stay; to manage it again, run: dockctl group commit FILE\n"
        ),
        (None, Some(_)) => format!(
            "`{name}` is known only from engine labels; to manage it here, run: dockctl recover {name}\n"
        ),
        (None, None) if drifted && !claims.is_empty() => {
            format!("to manage these objects here, run: dockctl recover {name}\n")
        }
        (None, None) => {
            let owners = stopped_owners(&views, &record, &observed);
            advice(name, &record, drifted, owners)
        }
    };
    let rows = views.iter().map(View::row).collect();
    Ok(StatusView {
        fields,
        rows,
        footer: text,
        color: super::color_stdout(global),
        unseen: observed.unseen.clone(),
    })
}

/// Drift of a container that shares the network of one that does not run.
const NO_NETWORK: &str = "no network";

/// Returns the container whose network an object shares, if it does not run.
fn stopped_owner<'o>(object: &Object, observed: &'o Observed) -> Option<&'o Object> {
    let mut shared = object.namespaces.iter();
    let network = shared.find(|it| it.namespace == Namespace::Network)?;
    let owner = observed.by_id(&network.owner)?;
    let is_down = matches!(
        owner.state,
        ObjectState::Exited | ObjectState::Created | ObjectState::Dead
    );
    is_down.then_some(owner)
}

/// Returns the IDs of the instances that a user stopped, and whose namespaces drifted ones share; none
/// without any. `heal` starts neither.
fn stopped_owners(views: &[View<'_>], record: &Record, observed: &Observed) -> Option<String> {
    let drifted = views.iter().filter(|view| !view.drift.is_empty());
    let objects = drifted.filter_map(|view| view.object);
    let shared = objects.flat_map(|object| &object.namespaces);
    let owners = shared.flat_map(|it| [&it.joined, &it.owner]);
    let ids: BTreeSet<&str> = owners
        .filter_map(|id| Some(observed.by_id(id)?.owner.as_ref()?.instance.as_str()))
        .filter(|id| record.instances.get(*id).is_some_and(|it| it.stays_stopped))
        .collect();
    (!ids.is_empty()).then(|| Vec::from_iter(ids).join(" "))
}

/// Returns the next command to run; empty if nothing is wrong.
fn advice(name: &str, record: &Record, drifted: bool, stopped_owners: Option<String>) -> String {
    let last = record
        .executions
        .last()
        .filter(|last| last.outcome != Some(event::Outcome::Terminated));
    let deployment = record.deployment.as_ref();
    let path = deployment.map(|deployment| deployment.blueprint.display().to_string());
    let path = path.unwrap_or_default();
    match last {
        Some(last) if last.outcome.is_none() => format!(
            "the last {} was interrupted; to resume it, run: dockctl resume -d {name}\n",
            last.workflow()
        ),
        Some(last) if drifted || !record.is_deployment_complete() => {
            let cause = last.failed.iter().find(|failed| failed.fails_execution());
            let why = cause
                .map(|failed| format!(": {}: {}", failed.instance, failed.failure.message))
                .unwrap_or_default();
            let (how, then) = match last.outcome {
                Some(event::Outcome::Failed) => ("failed", "fix the cause, then run"),
                _ => ("was stopped", "to resume it, run"),
            };
            format!(
                "the last {} {how}{why}; {then}: dockctl resume -d {name}\n",
                last.workflow()
            )
        }
        _ if record.has_outdated() => {
            format!("to update outdated instances, run: dockctl update {path} -d {name}\n")
        }
        _ if let Some(owners) = stopped_owners => format!(
            "to start the containers whose namespaces others share, run: dockctl start {owners} -d {name}\n"
        ),
        // Labels lack definitions that a repair needs.
        _ if drifted && deployment.is_some_and(|deployment| deployment.recovered) => {
            format!("to repair drifted instances, run: dockctl update {path} -d {name}\n")
        }
        _ if drifted => format!("to repair drifted instances, run: dockctl heal -d {name}\n"),
        _ => String::new(),
    }
}

/// Returns the claims to the name of the deployment; empty without claims.
fn claims_notice(name: &str, claims: &[Claim]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    format!(
        "objects on the engine labeled with `{name}`:\n{}",
        claims::claims_text(claims)
    )
}

/// An instance, and its object on an engine.
struct View<'a> {
    instance: &'a Instance,
    state: InstanceState,
    adopted: bool,
    object: Option<&'a Object>,
    drift: Vec<String>,
    /// Fields that were changed outside dockctl.
    changes: &'a [Drift],
    properties: Json,
    /// The engine did not respond.
    is_unseen: bool,
}

impl<'a> View<'a> {
    fn new(
        deployment: &'a Deployment,
        instance: &'a Instance,
        record: &Record,
        observed: &'a Observed,
    ) -> Self {
        let node = deployment
            .node(instance)
            .map(|node| record.object_definition(instance, node));
        let adopted = node.is_some_and(crate::model::Definition::is_adopted);
        let state = record.state(&instance.id);
        // Before it is created or adopted, a container with that name is foreign.
        let object = node
            .and_then(|node| Plugins::default().object_of(node, instance, observed))
            .filter(|_| !state.is_gone());
        let expects_object = state == InstanceState::Started
            && node.is_some_and(|node| Plugins::default().is_observed(node));
        // A node without an operation that starts it ends in this state, as in Cloudify.
        let is_created = object.is_some_and(|it| it.state == ObjectState::Created);
        let shown_state = match state {
            InstanceState::Started if is_created => InstanceState::Created,
            state => state,
        };
        let properties = shown_properties(record, &instance.id);
        if observed.is_unseen(&instance.id) {
            return Self {
                instance,
                state: shown_state,
                adopted,
                object: None,
                drift: Vec::new(),
                changes: &[],
                properties,
                is_unseen: true,
            };
        }
        let mut drift = drift(expects_object, node, object);
        let known = node.and_then(|node| Plugins::default().recorded_id(record, instance, node));
        if expects_object && object.is_some_and(|object| known != Some(&object.id)) {
            drift.push("replaced".to_owned());
        }
        let is_name_taken = || {
            InstanceRef::of(deployment, instance)
                .and_then(|part| Plugins::default().name(part))
                .is_some_and(|name| observed.named(&instance.id, &name).is_some())
        };
        if expects_object && object.is_none() && is_name_taken() {
            drift.push("name taken".to_owned());
        }
        let is_former = record
            .instances
            .get(&instance.id)
            .is_some_and(InstanceRecord::is_outdated);
        if expects_object && is_former {
            drift.push("outdated".to_owned());
        }
        // Partly created or removed, or missing from an installed deployment.
        let stays_stopped = record
            .instances
            .get(&instance.id)
            .is_some_and(|known| known.stays_stopped);
        if !expects_object
            && !stays_stopped
            && state != InstanceState::Started
            && record.is_installed()
            && !record.is_uninstalled(&instance.id)
        {
            drift.push(
                match state.is_gone() {
                    true if record.awaits_update(&instance.id) => "outdated",
                    true => "missing",
                    false => "unfinished",
                }
                .to_owned(),
            );
        }
        let runs = object.filter(|it| expects_object && it.state == ObjectState::Running);
        let lacks_network = runs.and_then(|it| stopped_owner(it, observed)).is_some();
        drift.extend(lacks_network.then(|| NO_NETWORK.to_owned()));
        let is_unhealthy = expects_object
            && object.is_some_and(|object| object.health.as_deref() == Some("unhealthy"));
        drift.extend(is_unhealthy.then(|| "unhealthy".to_owned()));
        let changes: &[Drift] = object
            .filter(|_| expects_object && !is_former)
            .map(|object| &object.drift[..])
            .unwrap_or_default();
        drift.extend((!changes.is_empty()).then(|| "changed".to_owned()));
        Self {
            instance,
            state: shown_state,
            adopted,
            object,
            drift,
            changes,
            properties,
            is_unseen: false,
        }
    }

    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let container = self.object.map(|object| {
            format!(
                "{}{}",
                object.name,
                if self.adopted { " (adopted)" } else { "" }
            )
        });
        let runs = self.object.filter(|object| {
            !matches!(
                object.state,
                ObjectState::Exited | ObjectState::Created | ObjectState::Dead
            )
        });
        vec![
            self.instance.id.clone(),
            self.state.to_string(),
            container.unwrap_or_else(|| {
                if self.adopted {
                    "(adopted)".to_owned()
                } else {
                    dash()
                }
            }),
            match self.object {
                Some(object) => status_text(object),
                None if self.is_unseen => "unseen".to_owned(),
                None => dash(),
            },
            runs.and_then(|object| uptime(object.started_at.as_deref()?))
                .unwrap_or_else(dash),
            self.object
                .map(|object| object.ports.join(" "))
                .filter(|ports| !ports.is_empty())
                .unwrap_or_else(dash),
            if self.drift.is_empty() {
                dash()
            } else {
                self.drift.join(", ")
            },
        ]
    }

    /// Returns a line for each field that was changed outside dockctl.
    fn change_lines(&self) -> impl Iterator<Item = String> {
        self.changes
            .iter()
            .map(|change| format!("{}: {change}\n", self.instance.id))
    }

    fn to_json(&self) -> Json {
        let objects: Vec<Json> = self.object.into_iter().map(object_json).collect();
        json!({
            "id": self.instance.id,
            "node": self.instance.node,
            "index": self.instance.index,
            "state": self.state,
            "adopted": self.adopted,
            "objects": objects,
            "drift": self.drift,
            "unseen": self.is_unseen,
            "changes": self.changes.iter().map(|it| json!({ "field": it.field, "declared": it.declared, "found": it.present })).collect::<Vec<_>>(),
            "runtime_properties": self.properties,
        })
    }
}

/// Returns the time since `started_at` in its two largest units, such as `3d 4h`.
fn uptime(started_at: &str) -> Option<String> {
    let started = humantime::parse_rfc3339(started_at).ok()?;
    let seconds = SystemTime::now()
        .duration_since(started)
        .unwrap_or_default()
        .as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    Some(match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    })
}

fn object_json(object: &Object) -> Json {
    json!({
        "kind": object.kind,
        "id": object.id,
        "name": object.name,
        "image": object.image,
        "state": object.state,
        "health": object.health,
        "exit_code": object.exit_code,
        "started_at": object.started_at,
        "ports": object.ports,
        "engine": object.engine,
    })
}

fn status_text(object: &Object) -> String {
    match (&object.health, object.exit_code) {
        (Some(health), None) => format!("{} ({health})", object.state.as_str()),
        (_, Some(code)) if object.state == ObjectState::Exited => format!("exited ({code})"),
        _ => object.state.as_str().to_owned(),
    }
}

/// Returns the drift in the state of a started instance.
fn drift(expects_object: bool, node: Option<&Definition>, object: Option<&Object>) -> Vec<String> {
    match object {
        _ if !expects_object => Vec::new(),
        Some(object)
            if node.is_some_and(|node| {
                Plugins::default().object_is_in_desired_state(node, object)
            }) =>
        {
            Vec::new()
        }
        None => vec!["missing".to_owned()],
        Some(object) => match object.state {
            ObjectState::Paused | ObjectState::Restarting => vec![object.state.as_str().to_owned()],
            _ => vec!["stopped".to_owned()],
        },
    }
}

/// Returns the runtime properties of all instances, one line each.
fn properties_text(fields: &Json) -> String {
    let instances = fields["instances"].as_array().into_iter().flatten();
    let lines = instances.flat_map(|instance| {
        let id = instance["id"].as_str().unwrap_or_default();
        let properties = instance["runtime_properties"].as_object();
        let line = move |(name, value): (&String, &Json)| {
            let value = masked_value(name, value);
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            printable(&format!("{id}.{name} = {}", text.replace('\n', "\\n"))) + "\n"
        };
        properties.into_iter().flatten().map(line)
    });
    let text: String = lines.collect();
    if text.is_empty() {
        text
    } else {
        format!("\n{text}")
    }
}

/// Words in the name of a property whose value is not shown to people.
const SENSITIVE_WORDS: [&str; 4] = ["token", "password", "secret", "key"];

/// Returns a value with everything masked whose name is sensitive.
fn masked_value(name: &str, value: &Json) -> Json {
    let name = name.to_lowercase();
    if SENSITIVE_WORDS.iter().any(|word| name.contains(word)) {
        return PLACEHOLDER.into();
    }
    match value {
        Json::Object(object) => {
            let entries = object.iter();
            let masked = entries.map(|(name, value)| (name.clone(), masked_value(name, value)));
            Json::Object(masked.collect())
        }
        Json::Array(items) => items.iter().map(|item| masked_value("", item)).collect(),
        other => other.clone(),
    }
}

/// Returns the runtime properties of an instance for output.
fn shown_properties(record: &Record, instance: &str) -> Json {
    let properties = record.properties(instance).cloned().unwrap_or_default();
    mask(&properties.into(), PLACEHOLDER)
}

/// Returns the instances from the record, without querying an engine.
pub(crate) fn known_instances(record: &Record) -> Vec<Json> {
    let deployment = record.deployment.iter();
    deployment
        .flat_map(|deployment| {
            deployment.instances.iter().map(move |instance| {
                json!({
                    "id": instance.id,
                    "node": instance.node,
                    "index": instance.index,
                    "state": Plugins::default().shown_state(record, &instance.id),
                    "adopted": deployment.node(instance).is_some_and(crate::model::Definition::is_adopted),
                    "runtime_properties": shown_properties(record, &instance.id),
                })
            })
        })
        .collect()
}

/// Returns the instances that exist although the blueprint no longer declares them.
fn dropped_line(record: &Record) -> String {
    let names: Vec<&str> = record
        .dropped
        .iter()
        .map(|(instance, _)| instance.id.as_str())
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(
            "no longer in the blueprint, but not removed yet: {}\n",
            printable(&names.join(", "))
        )
    }
}

/// Returns true if, according to the record, the container of an instance was removed by dockctl,
/// or by the engine when it stopped.
fn is_gone(instance: &Instance, deployment: &Deployment, record: &Record) -> bool {
    let state = record.state(&instance.id);
    let is_ephemeral = |node| {
        let node = record.object_definition(instance, node);
        let part = InstanceRef {
            deployment,
            instance,
            node,
        };
        Plugins::default().is_ephemeral(part)
    };
    let is_down = state == InstanceState::Stopped;
    state.is_gone() || is_down && deployment.node(instance).is_some_and(is_ephemeral)
}

/// Returns the closing table of a run, without querying an engine.
pub(crate) fn closing_table(record: &Record) -> String {
    let last = record.executions.last().into_iter();
    let failed = last
        .flat_map(|it| &it.failed)
        .filter(|it| it.is_unresolved());
    instance_table(record, &failed.map(|it| it.instance.as_str()).collect())
}

/// Returns the table of the recorded instances, without querying an engine.
pub(crate) fn known_table(record: &Record) -> String {
    instance_table(record, &BTreeSet::new())
}

/// Returns the table of the recorded instances. The last run failed for those in `failed`.
fn instance_table(record: &Record, failed: &BTreeSet<&str>) -> String {
    let Some(deployment) = &record.deployment else {
        return String::new();
    };
    let row = |instance: &Instance| {
        let adopted = deployment
            .node(instance)
            .is_some_and(crate::model::Definition::is_adopted);
        let node = deployment.node(instance);
        let node = node.map(|node| record.object_definition(instance, node));
        let id = node.filter(|node| Plugins::default().has_shell(node));
        let id = id.and_then(|node| Plugins::default().recorded_id(record, instance, node));
        let id = id.filter(|_| !is_gone(instance, deployment, record));
        let container = id.map_or_else(|| "-".to_owned(), |id| id.chars().take(12).collect());
        let state = Plugins::default()
            .shown_state(record, &instance.id)
            .to_string();
        vec![
            instance.id.clone(),
            if failed.contains(instance.id.as_str()) {
                format!("{state} (failed)")
            } else {
                state
            },
            if adopted {
                format!("{container} (adopted)")
            } else {
                container
            },
        ]
    };
    let (shown, counted) = listed_instances(deployment, record, failed);
    let shown: Vec<Vec<String>> = shown.into_iter().map(row).collect();
    let table = if shown.is_empty() {
        String::new()
    } else {
        table(&["INSTANCE", "STATE", "CONTAINER"], shown, super::charset())
    };
    table + &counted + &dropped_line(record)
}

/// Maximum number of instances that a run lists individually.
const MAX_LISTED: usize = 20;

/// Returns the instances to list, and a line with the number of instances in each state. Of a large
/// deployment, only failed instances and those not in the most common state are listed.
fn listed_instances<'d>(
    deployment: &'d Deployment,
    record: &Record,
    failed: &BTreeSet<&str>,
) -> (Vec<&'d Instance>, String) {
    let state = |instance: &Instance| Plugins::default().shown_state(record, &instance.id);
    let mut numbers: BTreeMap<InstanceState, usize> = BTreeMap::new();
    deployment
        .instances
        .iter()
        .for_each(|instance| *numbers.entry(state(instance)).or_default() += 1);
    let most_common = numbers
        .iter()
        .max_by_key(|(_, number)| **number)
        .map(|(state, _)| *state);
    if deployment.instances.len() <= MAX_LISTED {
        return (deployment.instances.iter().collect(), String::new());
    }
    let is_other = |instance: &&Instance| {
        Some(state(instance)) != most_common || failed.contains(instance.id.as_str())
    };
    let others: Vec<&Instance> = deployment
        .instances
        .iter()
        .filter(is_other)
        .take(MAX_LISTED)
        .collect();
    let words = match &numbers.iter().collect::<Vec<_>>()[..] {
        [(state, _)] => format!("all {state}"),
        several => several
            .iter()
            .map(|(state, number)| format!("{number} {state}"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    (
        others,
        format!(
            "{}: {words}\n",
            count(deployment.instances.len(), "instance")
        ),
    )
}

//! `dockctl group`: groups of InfraKit, here or through the daemon that serves them.

use super::{
    Outcome,
    args::{Global, RunArgs},
    error::CliError,
    group_args::{CommitArgs, GroupArgs, GroupCommand, RawArgs},
    group_daemon::{call, find},
    infrakit::{plugins_dir, table},
    print_error, runtime,
    settings::settings,
    terminal::Terminal,
};
use crate::{
    document::DocumentKind,
    front::{
        self,
        infrakit::{GroupSpec, lines},
    },
    operate::{
        Caller as _, Settings, Workspace,
        blueprint::Origin,
        group::{self, GroupMember, commit},
    },
    printable::on_one_line,
    report::yaml::yaml,
    serve::infrakit::{Description, client::Client, directory},
    stage::parameters::Update,
};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Largest specification, in bytes.
const MAX_SPEC: u64 = 8 << 20;

/// The groups of a state directory.
struct Groups<'t> {
    terminal: &'t Terminal<'t>,
    workspace: Workspace<'t>,
    /// The daemon that serves them, if one runs.
    daemon: Option<Client>,
    plugins_dir: PathBuf,
}

/// Runs a command.
pub(crate) fn group(global: &Global, args: &GroupArgs) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = Workspace::new(settings(global)?, &terminal);
    let plugins_dir = plugins_dir(&args.directory)?;
    let groups = Groups {
        daemon: find(&workspace, &plugins_dir)?,
        terminal: &terminal,
        workspace,
        plugins_dir,
    };
    match &args.command {
        GroupCommand::Commit(args) => groups.commit(args),
        GroupCommand::Describe {
            group, quiet, raw, ..
        } => groups.describe(&group.id, *quiet, *raw),
        GroupCommand::Inspect { group, raw, .. } => groups.inspect(&group.id, raw.yaml),
        GroupCommand::Ls { quiet } => groups.ls(*quiet),
        GroupCommand::Free { group } => groups.free(&group.id),
        GroupCommand::Destroy { group, run } => groups.destroy(&group.id, *run),
        GroupCommand::Scale { group, size, run } => match size {
            None => groups.size(&group.id),
            Some(size) => groups.scale(&group.id, *size, *run),
        },
        GroupCommand::DestroyInstances {
            group,
            instances,
            run,
        } => groups.destroy_instances(&group.id, instances, *run),
    }
}

impl Groups<'_> {
    fn commit(&self, args: &CommitArgs) -> Result<Outcome, CliError> {
        let settings = self.settings_of(args);
        let origin = origin(&args.file, &settings.imports.documents)?;
        let rolling = Update {
            max_unavailable: args.max_unavailable,
            pause: args.pause.map(|pause| pause.as_secs_f64()),
            ..Update::default()
        };
        let workspace = Workspace::new(settings, self.terminal);
        let (id, details) = if let Some(daemon) = &self.daemon {
            commit_to(daemon, (&workspace, &origin), rolling, args.pretend)?
        } else {
            let request = commit::Request {
                origin,
                pretend: args.pretend,
                takes_over: args.take_over,
                rolling,
                removed_first: BTreeSet::new(),
                repeat: repeat(self.terminal, args),
                options: args.run.options(),
            };
            let committed = runtime()?.block_on(commit::commit(&workspace, &request))?;
            (committed.id, committed.details)
        };
        let fields = json!({ "group": id, "details": details, "pretended": args.pretend });
        if args.pretend {
            let text = format!("Committing {id} would involve: {details}\n");
            return Ok(Outcome::new(fields, text));
        }
        if self.daemon.is_none() {
            print_error(&nobody_heals(self.terminal, &id));
        }
        Ok(Outcome::new(fields, format!("Committed {id}: {details}\n")))
    }

    /// Returns the settings for reading a specification. The daemon checks the names of plugins.
    fn settings_of(&self, args: &CommitArgs) -> Settings {
        let mut settings = self.workspace.settings.clone();
        let documents = &mut settings.imports.documents;
        documents.kind = Some(DocumentKind::InfrakitGroup);
        documents.variables = args.variables.iter().cloned().collect();
        documents.poll_interval = args.poll_interval;
        if self.daemon.is_some() {
            documents.instance_plugins = directory::names(&self.plugins_dir);
            documents.flavor_plugins = directory::names(&self.plugins_dir);
        }
        settings
    }

    fn describe(&self, id: &str, quiet: bool, raw: RawArgs) -> Result<Outcome, CliError> {
        let document = match &self.daemon {
            Some(daemon) => {
                call(daemon, "DescribeGroup", json!({ "ID": id }))?["Description"].clone()
            }
            None => self.description(id)?,
        };
        let text = match raw {
            RawArgs { yaml: true, .. } => yaml(&document),
            RawArgs { raw: true, .. } => format!("{}\n", lines(&document)),
            RawArgs { .. } => table(&descriptions(&document), quiet),
        };
        let fields = json!({ "group": id, "description": document });
        Ok(Outcome::new(fields, text))
    }

    /// Returns the description of a group, in the shape of InfraKit.
    fn description(&self, id: &str) -> Result<Json, CliError> {
        let known = group::known(&self.workspace, id)?;
        let members = group::members(&self.workspace, &known.record);
        let members = runtime()?.block_on(members)?;
        Ok(json!({
            "Instances": members.iter().map(GroupMember::to_json).collect::<Json>(),
            "Converged": known.is_converged(&members),
        }))
    }

    /// Returns the specifications of all groups.
    fn specs(&self) -> Result<Vec<GroupSpec>, CliError> {
        if let Some(daemon) = &self.daemon {
            let inspected = call(daemon, "InspectGroups", json!({ "ID": "" }))?;
            let all = inspected["Groups"].as_array().cloned().unwrap_or_default();
            return Ok(all.iter().filter_map(GroupSpec::from_json).collect());
        }
        let ids = group::ids(&self.workspace)?;
        let specs = ids.iter().map(|id| group::find(&self.workspace, id));
        let specs = specs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        Ok(specs.map(|known| known.spec).collect())
    }

    fn spec(&self, id: &str, unknown: impl Fn() -> CliError) -> Result<GroupSpec, CliError> {
        let mut specs = self.specs()?.into_iter();
        specs.find(|spec| spec.id == id).ok_or_else(unknown)
    }

    fn inspect(&self, id: &str, as_yaml: bool) -> Result<Outcome, CliError> {
        let document = self.spec(id, || {
            let message = format!("Group {id} is not being watched");
            CliError::usage(message).hint("to list the groups, run: dockctl group ls")
        })?;
        let document = document.to_json();
        let text = if as_yaml {
            yaml(&document)
        } else {
            format!("{}\n", lines(&document))
        };
        Ok(Outcome::exact(json!({ "specification": document }), text))
    }

    fn ls(&self, quiet: bool) -> Result<Outcome, CliError> {
        let ids: Vec<String> = self.specs()?.into_iter().map(|spec| spec.id).collect();
        let header = (!quiet).then(|| "ID\n".to_owned());
        let rows = ids.iter().map(|id| format!("{}\n", on_one_line(id)));
        let text: String = header.into_iter().chain(rows).collect();
        Ok(Outcome::new(json!({ "groups": ids }), text))
    }

    fn free(&self, id: &str) -> Result<Outcome, CliError> {
        match &self.daemon {
            Some(daemon) => drop(call(daemon, "FreeGroup", json!({ "ID": id }))?),
            None => runtime()?.block_on(group::free(&self.workspace, id))?,
        }
        Ok(Outcome::new(
            json!({ "freed": id }),
            format!("Freed {id}\n"),
        ))
    }

    fn destroy(&self, id: &str, run: RunArgs) -> Result<Outcome, CliError> {
        if let Some(daemon) = &self.daemon {
            call(daemon, "DestroyGroup", json!({ "ID": id }))?;
        } else {
            let destroyed = group::destroy(&self.workspace, id, run.options());
            runtime()?.block_on(destroyed)?;
        }
        let text = format!("Destroy {id} initiated\n");
        Ok(Outcome::new(json!({ "destroyed": id }), text))
    }

    fn size(&self, id: &str) -> Result<Outcome, CliError> {
        let size = self.size_of(id)?;
        let text = format!("Group {id} at {size} instances\n");
        Ok(Outcome::new(json!({ "group": id, "size": size }), text))
    }

    fn size_of(&self, id: &str) -> Result<usize, CliError> {
        let unknown = || {
            let error = CliError::usage(format!("group {id} not found"));
            error.hint("to list the groups, run: dockctl group ls")
        };
        let spec = self.spec(id, unknown)?;
        Ok(spec.allocation.size())
    }

    fn scale(&self, id: &str, to: i64, run: RunArgs) -> Result<Outcome, CliError> {
        let before = self.size_of(id)?;
        match &self.daemon {
            Some(daemon) => drop(call(daemon, "SetSize", json!({ "ID": id, "Size": to }))?),
            None => self.resize(
                id,
                &group::Resize::To(to),
                (&["scale", id, &to.to_string()], run),
            )?,
        }
        let text = format!("Group {id} at {before} instances, scale to {to}\n");
        let fields = json!({ "group": id, "size": before, "scaled_to": to });
        Ok(Outcome::new(fields, text))
    }

    fn destroy_instances(
        &self,
        id: &str,
        instances: &[String],
        run: RunArgs,
    ) -> Result<Outcome, CliError> {
        if let Some(daemon) = &self.daemon {
            let params = json!({ "ID": id, "Instances": instances });
            call(daemon, "DestroyInstances", params)?;
        } else {
            let words = ["destroy-instances", id].into_iter();
            let words: Vec<&str> = words.chain(instances.iter().map(String::as_str)).collect();
            let resize = group::Resize::Without(instances.to_vec());
            self.resize(id, &resize, (&words, run))?;
        }
        let fields = json!({ "group": id, "destroyed": instances });
        Ok(Outcome::new(fields, "Initiated.\n"))
    }

    /// Commits the specification of a group with another size.
    fn resize(
        &self,
        id: &str,
        resize: &group::Resize,
        (words, run): (&[&str], RunArgs),
    ) -> Result<(), CliError> {
        let repeat = self.terminal.command_line(&[&["group"], words].concat());
        let resized = group::resize(&self.workspace, (id, resize), (repeat, run.options()));
        Ok(runtime()?.block_on(resized)?)
    }
}

/// Commits a specification through the daemon. Returns the ID of the group and what the commit does.
fn commit_to(
    daemon: &Client,
    (workspace, origin): (&Workspace<'_>, &Origin),
    rolling: Update,
    pretend: bool,
) -> Result<(String, String), CliError> {
    let (spec, script) = commit::read(origin, &workspace.settings)?;
    let params = json!({
        "Spec": spec.to_json(),
        "Pretend": pretend,
        "Script": script,
        "Rolling": rolling,
    });
    let committed = call(daemon, "CommitGroup", params)?;
    let details = committed["Details"].as_str().unwrap_or_default();
    Ok((spec.id, on_one_line(details)))
}

fn nobody_heals(terminal: &Terminal<'_>, id: &str) -> String {
    let daemon = terminal.command_line(&["infrakit", "serve", "--groups"]);
    let watch = terminal.command_line(&["heal", "--watch", "-d", id]);
    format!(
        "note: nobody heals `{id}` from now on\n  = help: to heal it, run: {daemon}\n  = help: or run: {watch}\n"
    )
}

/// Returns the command line that repeats a commit.
fn repeat(terminal: &Terminal<'_>, args: &CommitArgs) -> String {
    let mut words = vec!["group".to_owned(), "commit".to_owned()];
    words.push(args.file.display().to_string());
    let variables = args.variables.iter();
    words.extend(variables.map(|(key, value)| format!("--var={key}={value}")));
    words.extend(args.take_over.then(|| "--take-over".to_owned()));
    let most = args.max_unavailable;
    words.extend(most.map(|most| format!("--max-unavailable={most}")));
    let pause = args.pause.map(humantime::format_duration);
    words.extend(pause.map(|pause| format!("--pause={pause}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    terminal.command_line(&words)
}

/// Reads a specification that is not a file.
fn origin(file: &Path, documents: &front::Options) -> Result<Origin, CliError> {
    let shown = file.to_string_lossy();
    if shown == "-" {
        let mut text = String::new();
        let read = io::stdin().take(MAX_SPEC).read_to_string(&mut text);
        read.map_err(|error| CliError::usage(format!("cannot read standard input: {error}")))?;
        return Ok(Origin {
            path: "<standard input>".into(),
            text: Some(text),
        });
    }
    if front::is_address(&shown) {
        let text = front::download(&shown, documents);
        let text = text.map_err(|why| CliError::usage(format!("cannot read {shown}: {why}")))?;
        return Ok(Origin {
            path: file.to_owned(),
            text: Some(text),
        });
    }
    let path = shown.strip_prefix("file://").map_or(file, Path::new);
    // A pipe can be read only once.
    let is_pipe = fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir());
    let text = is_pipe.then(|| front::read_file(path)).transpose();
    let text = text.map_err(|why| CliError::usage(format!("cannot read {shown}: {why}")))?;
    Ok(Origin {
        path: path.to_owned(),
        text,
    })
}

/// Returns the instances in the description of a group.
fn descriptions(document: &Json) -> Vec<Description> {
    let instances = document["Instances"].as_array().into_iter().flatten();
    instances.map(Description::from_json).collect()
}

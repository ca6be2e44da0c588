//! What every command needs: the state folder, the engine, the name of a deployment.

use super::{
    args::{ExecutionArgs, Global},
    blueprint::{checked_name, default_name, find},
    error::{CliError, Kind},
    given::{self, Hidden},
    warn,
};
use crate::{
    author::{Author, AuthorName},
    diagnostic::{Diagnostics, Sources},
    engine::{Connections, Host, broken_config},
    event::Why,
    executor::Signals,
    journal::StateDir,
    model::Deployment,
    plugins::{Connected, Drivers, Plugins, Scene, Settings},
    record::Record,
    seam::Observed,
    secrets::{SHORTEST, Secrets, sensitive},
    told::Told,
};
use serde_json::Value as Json;
use std::{
    cell::OnceCell,
    env,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    rc::Rc,
};
use tokio::signal::unix::{SignalKind, signal};

/// Where things are.
pub(crate) struct Workspace<'a> {
    pub global: &'a Global,
    pub state: StateDir,
    pub secrets: Secrets,
    signals: OnceCell<Signals>,
}

impl<'a> Workspace<'a> {
    pub(crate) fn new(global: &'a Global) -> Result<Self, CliError> {
        let path = global.state_dir.clone().or_else(default_state_dir);
        let path = path.ok_or_else(|| {
            CliError::usage("there is no home folder to keep the state in")
                .hint("name one with --state-dir or DOCKCTL_STATE_DIR")
        })?;
        let state = StateDir::new(path);
        if let Some(error) = state.distrusted() {
            warn(&format!(
                "what this state folder says may be somebody else's words: {error}"
            ));
        }
        Ok(Self {
            global,
            state,
            secrets: Secrets::new(global.secrets.clone()),
            signals: OnceCell::new(),
        })
    }

    /// Returns the requests to stop this process. The first call registers the signal handlers,
    /// which stay: without a reader a registered handler would swallow later signals.
    pub(crate) fn signals(&self) -> Result<&Signals, CliError> {
        if let Some(signals) = self.signals.get() {
            return Ok(signals);
        }
        let signals = Signals::default();
        listen(signals.clone()).map_err(|error| {
            CliError::new(Kind::Failed, format!("cannot listen for signals: {error}"))
        })?;
        Ok(self.signals.get_or_init(|| signals))
    }

    /// A command line that can be typed as it stands: global flags that matter are repeated.
    pub(crate) fn again(&self, command: &[&str]) -> String {
        let global = self.global;
        let shown = |path: &PathBuf| path.display().to_string();
        let once = [
            ("--state-dir", global.state_dir.as_ref().map(shown)),
            ("--host", global.host.clone()),
            ("--context", global.context.clone()),
        ];
        let once = once
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value?)));
        let secrets = global.secrets.iter().map(|path| ("--secrets", shown(path)));
        let rules = global
            .import_rules
            .iter()
            .map(|(prefix, with)| ("--import-rule", format!("{prefix}={with}")));
        let flags = once
            .chain(secrets)
            .chain(rules)
            .flat_map(|(flag, value)| [flag.to_owned(), value]);
        let switches = [
            (global.offline, "--offline"),
            (global.no_guard, "--no-guard"),
        ];
        let flags = flags.chain(
            switches
                .into_iter()
                .filter(|(given, _)| *given)
                .map(|(_, flag)| flag.to_owned()),
        );
        let words = ["dockctl".to_owned()]
            .into_iter()
            .chain(command.iter().map(|word| (*word).to_owned()))
            .chain(flags);
        words
            .map(|word| quoted(&word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A runtime on this thread: calls to the engine run concurrently on it.
    pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.map_err(|error| CliError::new(Kind::Failed, format!("cannot start: {error}")))
    }

    /// What carries steps out; nothing is connected to yet.
    pub(crate) fn connect(&self) -> Result<Connected, CliError> {
        if let Some(broken) = broken_config() {
            warn(&format!(
                "the configuration of the docker command is broken: {broken}"
            ));
        }
        let host = Host::find(self.global.host.as_deref(), self.global.context.as_deref())?;
        let host = host.with_timeout(self.global.engine_timeout);
        Ok(Plugins::default().connect(&Settings {
            author: self.author()?,
            connections: Rc::new(Connections::new(host)),
        }))
    }

    /// Who makes objects.
    fn author(&self) -> Result<Author, CliError> {
        let user = ["USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
        let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
        Ok(Author {
            key: self.state.key()?,
            name: AuthorName::this(user, self.state.path()),
        })
    }

    /// What labels on the default engine tell of the deployments of a name. What the user took over
    /// is as good as ours.
    pub(crate) async fn told(&self, drivers: &Drivers<'_>, name: &str) -> Result<Told, CliError> {
        // A journal that cannot be read tells nothing; whoever needs it says why.
        if let Ok(Some(record)) = self.state.read(name) {
            drivers.trust(&record);
        }
        Ok(drivers.told(name).await?)
    }

    /// What the engines say of a deployment now.
    pub(crate) async fn observe(
        &self,
        drivers: &Drivers<'_>,
        deployment: &Deployment,
        record: &Record,
    ) -> Result<Observed, CliError> {
        drivers.trust(record);
        let scene = Scene {
            deployment,
            record,
            secrets: &self.secrets,
        };
        let places = Plugins::default().places(scene);
        let places = places.map_err(|message| CliError::new(Kind::Engine, message))?;
        drivers.reach(&places).await?;
        Ok(drivers.look(scene).await?)
    }

    /// Where ids of instances come from: the same for a plan as for the install that follows it,
    /// and others for the next installation.
    pub(crate) fn random(
        &self,
        name: &str,
        record: Option<&Record>,
    ) -> Result<fastrand::Rng, CliError> {
        if let Some(seed) = self.global.seed {
            return Ok(fastrand::Rng::with_seed(seed));
        }
        let mut hasher = DefaultHasher::new();
        // Of what labels tell, all state directories make the same.
        let told = record
            .and_then(|record| record.deployment.as_ref())
            .filter(|deployment| deployment.recovered);
        match told {
            Some(deployment) => {
                (&deployment.id, name, deployment.instances.len()).hash(&mut hasher)
            }
            None => (
                self.state.key()?,
                name,
                record.map_or(0, |record| record.ran),
            )
                .hash(&mut hasher),
        }
        Ok(fastrand::Rng::with_seed(hasher.finish()))
    }

    /// The deployment that is named, or that the blueprint in the current folder names.
    ///
    /// # Errors
    ///
    /// If there is no such blueprint, or deployments were made from it that have names of their
    /// own: which one is meant has to be said.
    pub(crate) fn name(&self, given: Option<&str>) -> Result<String, CliError> {
        if let Some(name) = given {
            return checked_name(name);
        }
        let path = find(None).map_err(|_| {
            CliError::usage(
                "no deployment is named, and there is no blueprint here to name it after",
            )
            .hint("dockctl list shows the deployments there are")
        })?;
        let name = default_name(&path);
        let others = if self.is_known(&name) {
            Vec::new()
        } else {
            self.made_from(&path)?
        };
        if others.is_empty() {
            return Ok(name);
        }
        let error = CliError::usage(format!(
            "there is no deployment `{name}`, but others were made from {}",
            path.display()
        ));
        Err(error.hint(format!(
            "name the one that is meant: -d {}",
            others.join(", or -d ")
        )))
    }

    /// As [`name`](Self::name), for commands that only read: where no blueprint says which one is
    /// meant, the only one there is.
    pub(crate) fn name_to_read(&self, given: Option<&str>) -> Result<String, CliError> {
        if given.is_some() || find(None).is_ok() {
            return self.name(given);
        }
        match &self.installed()?[..] {
            [only] => Ok(only.clone()),
            _ => self.name(given),
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.state.read(name).is_ok_and(|record| record.is_some())
    }

    /// Names of the deployments that are installed.
    pub(crate) fn installed(&self) -> Result<Vec<String>, CliError> {
        let installed = |name: &String| {
            self.state
                .read(name)
                .is_ok_and(|record| record.is_some_and(|record| record.is_installed()))
        };
        Ok(self.state.names()?.into_iter().filter(installed).collect())
    }

    /// Names of those that were made from a blueprint.
    fn made_from(&self, path: &Path) -> Result<Vec<String>, CliError> {
        let path = super::blueprint::absolute(path);
        let is_from = |name: &String| {
            let record = self.state.read(name).ok().flatten();
            record
                .and_then(|record| record.deployment)
                .is_some_and(|deployment| deployment.blueprint == path)
        };
        Ok(self.installed()?.into_iter().filter(is_from).collect())
    }

    /// The deployment, and the id of an execution of it if one is given. An id alone is looked for
    /// in all deployments.
    pub(crate) fn execution(
        &self,
        args: &ExecutionArgs,
    ) -> Result<(String, Option<String>), CliError> {
        let (given, deployment) = (args.execution.as_deref(), args.deployment.as_deref());
        let Some(id) = given else {
            return self.name(deployment).map(|name| (name, None));
        };
        let has = |name: &String| {
            let known = self
                .state
                .read(name)
                .ok()
                .flatten()
                .is_some_and(|record| record.executions.iter().any(|it| it.id == id));
            known
                || self
                    .state
                    .holder(name)
                    .is_ok_and(|holder| holder.is_some_and(|holder| holder.execution == id))
        };
        match deployment {
            Some(name) => Ok((checked_name(name)?, Some(id.to_owned()))),
            None => match self.state.names()?.into_iter().find(has) {
                Some(name) => Ok((name, Some(id.to_owned()))),
                None if self.state.names()?.iter().any(|name| name == id) => {
                    Ok((id.to_owned(), None))
                }
                None => Err(CliError::usage(format!(
                    "there is no execution `{id}`, and no deployment of that name"
                ))
                .hint("dockctl executions shows those there are")),
            },
        }
    }

    /// Sensitive inputs are kept as digests: given again, they are known for this run. What they
    /// were declared as is not known here: bare text can be a number.
    pub(crate) fn supply(&self, inputs: &[String]) -> Result<(), CliError> {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let given = given::read(inputs, Hidden::All, &mut sources, &mut faults)?;
        if !faults.is_empty() {
            let names = given::named(inputs).join(" ");
            return Err(CliError::usage(format!(
                "what is given as input cannot be read as YAML: {names}"
            )));
        }
        let key = self.state.key()?;
        let given = given
            .into_values()
            .chain(given::of_environment(&mut sources)?);
        for value in given.flat_map(|given| given.readings()) {
            self.secrets.hide_value(&value);
            for part in sensitive::parts(&value) {
                let digest = sensitive::digest(&key, part);
                match part {
                    Json::String(text) if *part == value && text.len() >= SHORTEST => {
                        self.secrets.withhold_text(digest, text)
                    }
                    part => self.secrets.withhold(digest, part),
                }
            }
        }
        Ok(())
    }

    /// What is known of a deployment that has to exist.
    pub(crate) fn record(&self, name: &str) -> Result<Record, CliError> {
        let record = self
            .state
            .read(name)?
            .filter(|record| record.deployment.is_some());
        record.ok_or_else(|| Self::unknown(name))
    }

    /// There is no deployment of this name.
    pub(crate) fn unknown(name: &str) -> CliError {
        CliError::usage(format!("there is no deployment `{name}`"))
            .hint("dockctl list shows the deployments there are; list --all those, too, that only an engine tells of")
    }
}

/// The first signal asks to stop, the second drops everything.
fn listen(asked: Signals) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if time == 0 {
                asked.stop(Why::Asked);
            } else {
                asked.abort(Why::Asked);
            }
        }
    });
    Ok(())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

pub(crate) fn default_state_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".local/state")));
    base.map(|base| base.join("dockctl"))
}

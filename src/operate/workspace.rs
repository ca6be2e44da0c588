//! One state directory with its engine and secrets.

use super::{
    caller::{Caller, Notice},
    error::{Error, Kind},
    input_args::{self, HiddenInputs},
    settings::Settings,
};
use crate::{
    author::{Author, AuthorName},
    diagnostic::{Diagnostics, Sources},
    discovery::Discovery,
    engine::Connections,
    journal::StateDir,
    model::Deployment,
    plan::{self, PlanInput, Proposal},
    plugins::{self, ConnectedPlugins, Drivers, ObserveContext, Plugins},
    record::Record,
    seam::Observed,
    secrets::{MIN_LENGTH, OwnSecrets, Secrets, sensitive},
};
use serde_json::Value as Json;
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    rc::Rc,
};

/// One state directory with its engine and secrets.
pub struct Workspace<'c> {
    /// Settings of the application.
    pub settings: Settings,
    /// The state directory.
    pub state: StateDir,
    /// The known secrets.
    pub secrets: Secrets,
    /// The user interface.
    pub caller: &'c dyn Caller,
}

impl<'c> Workspace<'c> {
    /// Creates a workspace without connecting to engines or writing anything.
    pub fn new(settings: Settings, caller: &'c dyn Caller) -> Self {
        let state = StateDir::new(settings.state_dir.clone());
        if let Some(error) = state.untrusted() {
            caller.notify(&Notice::Warning(format!(
                "another user may have modified the state directory: {error}"
            )));
        }
        Self {
            state,
            secrets: Secrets::new(settings.secrets.clone()),
            settings,
            caller,
        }
    }

    /// Creates the drivers of all plugins. They connect to engines later, when needed.
    ///
    /// # Errors
    ///
    /// If no engine is configured, or the state directory is unusable.
    pub(crate) fn connect(&self) -> Result<ConnectedPlugins, Error> {
        let engine = &self.settings.engine;
        if let Some(fault) = &engine.config_error {
            self.warn(format!(
                "the configuration of the Docker CLI is invalid: {fault}"
            ));
        }
        let host = engine.host.clone()?;
        Ok(Plugins::default().create_drivers(&plugins::DriverSettings {
            author: self.author()?,
            connections: Rc::new(Connections::new(host)),
            state_dir: self.settings.state_dir.clone(),
            environment: self.settings.environment.clone(),
            program: self.settings.program.clone(),
            asks_registry: self.settings.asks_registry,
        }))
    }

    /// Shows a warning.
    pub fn warn(&self, what: impl Into<String>) {
        self.caller.notify(&Notice::Warning(what.into()));
    }

    /// Returns the creator of new objects.
    fn author(&self) -> Result<Author, Error> {
        Ok(Author {
            key: self.state.key()?,
            name: AuthorName::on_this_machine(self.settings.user.clone(), self.state.path()),
        })
    }

    /// Returns the objects on the default engine that are labeled with a deployment name. Objects
    /// that the user took over count as ours.
    pub(crate) async fn discover(
        &self,
        drivers: &Drivers<'_>,
        name: &str,
    ) -> Result<Discovery, Error> {
        // Ignore an unreadable journal: code that requires it reports the error.
        if let Ok(Some(record)) = self.state.read(name) {
            drivers.trust_taken_over(&record);
        }
        Ok(drivers.claims(name).await?)
    }

    /// Observes the present state of a deployment on its engines. An engine that does not respond
    /// is [`Observed::unseen`].
    ///
    /// # Errors
    ///
    /// If no engine responds.
    pub(crate) async fn observe(
        &self,
        drivers: &Drivers<'_>,
        deployment: &Deployment,
        record: &Record,
    ) -> Result<Observed, Error> {
        drivers.trust_taken_over(record);
        let scene = ObserveContext {
            deployment,
            record,
            secrets: &self.secrets,
        };
        let observed = drivers.observe(scene).await?;
        for warning in drivers.version_warnings() {
            self.warn(warning);
        }
        Ok(observed)
    }

    /// Like [`observe`](Self::observe), with the references of declarations that name something
    /// else now, such as tags of images.
    ///
    /// # Errors
    ///
    /// If no engine responds, or a registry that is asked does not.
    pub(crate) async fn observe_with_moved(
        &self,
        drivers: &Drivers<'_>,
        deployment: &Deployment,
        record: &Record,
    ) -> Result<Observed, Error> {
        let mut observed = self.observe(drivers, deployment, record).await?;
        let scene = ObserveContext {
            deployment,
            record,
            secrets: &self.secrets,
        };
        drivers.add_moved(scene, &mut observed).await?;
        Ok(observed)
    }

    /// Adds the objects outside the deployment that lose a namespace in the stage of a proposal. If
    /// they cannot be found out, a warning says so: nothing depends on them.
    pub(crate) async fn add_foreign_sharers(
        &self,
        drivers: &Drivers<'_>,
        known: &PlanInput<'_>,
        proposal: &mut Proposal,
    ) {
        let scene = ObserveContext {
            deployment: known.deployment,
            record: known.record,
            secrets: &self.secrets,
        };
        let ending = plan::ending(known, &proposal.stage);
        let losing = plan::losing_namespaces(known, &ending);
        match drivers.foreign_sharers(scene, &losing).await {
            Ok(sharers) => proposal.foreign_sharers = sharers,
            Err(failure) => self.warn(format!(
                "it is unknown whether containers outside this deployment share namespaces: {}",
                failure.message
            )),
        }
        let sharers = &mut proposal.foreign_sharers;
        let stage = &proposal.stage;
        sharers.retain(|it| {
            plan::ends_namespace(known, &ending, it) || !plan::keeps_object(stage, &it.instance)
        });
        for sharers in &mut proposal.foreign_sharers {
            sharers.can_start_again = plan::keeps_object(stage, &sharers.instance);
        }
    }

    /// Returns the random generator for instance IDs. A plan and the install that follows it use
    /// the same IDs; a later installation uses different ones.
    pub(crate) fn id_generator(
        &self,
        name: &str,
        record: Option<&Record>,
    ) -> Result<fastrand::Rng, Error> {
        if let Some(seed) = self.settings.seed {
            return Ok(fastrand::Rng::with_seed(seed));
        }
        let mut hasher = DefaultHasher::new();
        // After a recovery from labels, all state directories use the same IDs.
        let recovered_deployment = record
            .and_then(|record| record.deployment.as_ref())
            .filter(|deployment| deployment.recovered);
        match recovered_deployment {
            Some(deployment) => {
                (&deployment.id, name, deployment.instances.len()).hash(&mut hasher)
            }
            None => (
                self.state.key()?,
                name,
                record.map_or(0, |record| record.execution_count),
            )
                .hash(&mut hasher),
        }
        Ok(fastrand::Rng::with_seed(hasher.finish()))
    }

    /// Returns the names of the installed deployments.
    pub(crate) fn installed(&self) -> Result<Vec<String>, Error> {
        let installed = |name: &String| {
            self.state
                .read(name)
                .is_ok_and(|record| record.is_some_and(|record| record.is_installed()))
        };
        Ok(self.state.names()?.into_iter().filter(installed).collect())
    }

    /// Supplies the values of sensitive inputs for this run: the journal contains only their
    /// digests. The declared types are unknown here, and bare text can be a number: all readings
    /// are tried.
    pub(crate) fn supply_inputs(&self, inputs: &[String]) -> Result<(), Error> {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let given = input_args::read(inputs, HiddenInputs::All, &mut sources, &mut faults)?;
        if !faults.is_empty() {
            let names = input_args::redacted_args(inputs).join(" ");
            return Err(Error::usage(format!(
                "cannot parse the inputs as YAML: {names}"
            )));
        }
        let key = self.state.key()?;
        let given = given.into_values().chain(input_args::variable_values(
            &self.settings.inputs,
            &mut sources,
        )?);
        for value in given.flat_map(|given| given.possible_values()) {
            self.secrets.register_value(&value);
            for part in sensitive::parts(&value) {
                let digest = sensitive::digest(&key, part);
                match part {
                    Json::String(text) if *part == value && text.len() >= MIN_LENGTH => {
                        self.secrets.withhold_text(digest, text)
                    }
                    part => self.secrets.withhold(digest, part),
                }
            }
        }
        Ok(())
    }

    /// Uses the secrets that scripts of a deployment created.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn use_secrets_of(&self, deployment: &str) -> Result<(), Error> {
        let own = OwnSecrets::read(self.state.secrets(deployment));
        let own = own.map_err(|message| Error::new(Kind::Failed, message))?;
        self.secrets.use_own(own);
        Ok(())
    }

    /// Returns the record of a deployment that must exist.
    pub(crate) fn record(&self, name: &str) -> Result<Record, Error> {
        self.use_secrets_of(name)?;
        let record = self
            .state
            .read(name)?
            .filter(|record| record.deployment.is_some());
        record.ok_or_else(|| Self::unknown_deployment(name))
    }

    /// Returns the error for an unknown deployment.
    pub(crate) fn unknown_deployment(name: &str) -> Error {
        Error::usage(format!("there is no deployment `{name}`"))
            .hint("to list all deployments, including those known only from labels, run: dockctl list --all")
    }
}

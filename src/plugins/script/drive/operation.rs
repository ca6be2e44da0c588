//! One operation: prepares its directory, runs its script, and serves its `ctx`.

use super::{
    Scripts,
    container::ContainerRun,
    http::HttpServer,
    local::Start,
    log::OperationLog,
    python,
    resources::Resources,
    run_directory::{RunDirectory, Told},
    script::Script,
    secrets::ScriptSecrets,
    server::{self, Handler},
};
use crate::{
    plugins::{
        NoteSink, StepContext,
        script::{
            declare::{
                action::Action,
                context::{Answer, Context, ContextError, Side},
                environment::{Process, shell_word},
                language::{Language, python_2_mark},
                outcome::Ended,
                request::{MAX_CALLS, Raised, Reply, Request},
            },
            socket::{NAME, SOCKET_VARIABLE, URL_VARIABLE},
        },
    },
    seam::{Call, Edit, Failure, LogLevel, LogLine, Outputs, StepNote},
    secrets::Secrets,
};
use futures_util::future::LocalBoxFuture;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::fs::symlink,
};

/// Name of the socket in the directory of a run.
const SOCKET: &str = "ctx.sock";
/// Shell functions that end a script when `ctx` fails.
pub(super) const CTX_SH: &str = include_str!("ctx-sh");
/// Directory for temporary files, if the environment names none.
pub(super) const TEMPORARY: &str = "/tmp";

/// One run of one operation.
pub(super) struct Operation<'a> {
    pub(super) driver: &'a Scripts,
    call: &'a Call,
    notes: NoteSink<'a>,
    secrets: &'a Secrets,
    pub(super) inputs: JsonMap<String, Json>,
    pub(super) process: Process,
    pub(super) run_directory: RunDirectory,
    pub(super) resources: Resources,
    log: OperationLog<'a>,
    pub(super) context: RefCell<Context>,
    raised: RefCell<Option<Raised>>,
    /// Number of requests of the script.
    calls: Cell<usize>,
    /// Path of the script, for messages.
    command: RefCell<String>,
    /// The run in a container, if the script runs in one.
    pub(super) container: Option<ContainerRun<'a>>,
}

impl<'a> Operation<'a> {
    /// Reads the settings of the operation.
    ///
    /// # Errors
    ///
    /// If a setting is invalid.
    pub(super) fn prepare(
        driver: &'a Scripts,
        call: &'a Call,
        step: StepContext<'a>,
    ) -> Result<Self, Failure> {
        let Action::Run {
            operation,
            plugin,
            directory,
            inputs,
        } = Action::from_step(&call.step)?;
        let run_directory = RunDirectory::of(&driver.state_dir, call, &operation);
        Ok(Self {
            process: Process::read(&inputs)?,
            container: step
                .inside
                .map(|shell| ContainerRun::new(shell, run_directory.id())),
            run_directory,
            resources: Resources::new(&driver.state_dir, call, &directory),
            log: OperationLog::new(step.notes, step.secrets),
            context: RefCell::new(Context::of(call, &operation, &plugin)),
            notes: step.notes,
            secrets: step.secrets,
            driver,
            call,
            inputs,
            raised: RefCell::default(),
            calls: Cell::default(),
            command: RefCell::default(),
        })
    }

    /// Runs the script.
    pub(super) async fn run(self) -> Result<Outputs, Failure> {
        self.run_directory.create().map_err(directory_failure)?;
        let script = self.script().await?;
        self.command.replace(script.path.clone());
        self.remember()?;
        self.log.write(self.replaced_variables()).await;
        let code = match (&self.container, script.language) {
            (Some(container), _) => self.run_inside(container, &script).await?,
            (None, Language::Python) => self.run_python(&script).await?,
            (None, _) => self.run_shell(&script).await?,
        };
        self.log.finish().await;
        let ended = Ended {
            command: script.path,
            code,
            verdict: self.context.borrow().verdict.clone(),
            requested_retry: self.context.borrow().requested_retry.clone(),
            raised: self.raised.borrow().clone(),
            output: self.log.last_lines(),
        };
        ended.outcome()
    }

    async fn run_shell(&self, script: &Script) -> Result<i32, Failure> {
        let mut environment = self.environment();
        set(&mut environment, self.process.variables(&self.inputs));
        let uses_url = [&*script.text, &*self.process.prefix, &*self.process.args]
            .iter()
            .any(|text| text.contains(URL_VARIABLE));
        let start = |environment| Start {
            run_directory: &self.run_directory,
            process: &self.process,
            command: self.process.command(&script.path),
            is_logged: true,
            environment,
        };
        environment.remove(OsStr::new(URL_VARIABLE));
        self.add_ctx(&mut environment).map_err(directory_failure)?;
        if !self.process.has_ctx {
            set(&mut environment, [(URL_VARIABLE.to_owned(), String::new())]);
            return start(environment)
                .run(&self.log, std::future::pending())
                .await;
        }
        let listener =
            server::listen(&self.run_directory.path().join(SOCKET)).map_err(directory_failure)?;
        let serving = server::serve(listener, self);
        if !uses_url {
            let socket = self.run_directory.path().join(SOCKET).display().to_string();
            set(&mut environment, [(SOCKET_VARIABLE.to_owned(), socket)]);
            return start(environment).run(&self.log, serving).await;
        }
        let http = HttpServer::open().await.map_err(directory_failure)?;
        set(
            &mut environment,
            [(URL_VARIABLE.to_owned(), http.url.clone())],
        );
        let both = async {
            tokio::join!(serving, http.serve(self));
        };
        start(environment).run(&self.log, both).await
    }

    /// Runs the script in a container, with the environment of the container.
    async fn run_inside(
        &self,
        container: &ContainerRun<'_>,
        script: &Script,
    ) -> Result<i32, Failure> {
        if script.language == Language::Python {
            let message = "Python that dockctl evaluates cannot run in a container";
            return Err(Failure::fatal(message)
                .hint("set `process.eval_python` to false and begin the file with a `#!` line"));
        }
        let mut variables = self.process.variables(&self.inputs);
        variables.push((URL_VARIABLE.to_owned(), String::new()));
        let command = self.process.command(&script.path);
        let ran = container.run((&self.process, &command), variables, (&self.log, self));
        ran.await
    }

    /// Runs Python in a process of its own, with the package `cloudify`.
    async fn run_python(&self, script: &Script) -> Result<i32, Failure> {
        self.context.borrow_mut().is_python = true;
        let interpreter = match python_2_mark(&script.text) {
            Some(_) => "python2",
            None => "python3",
        };
        let program = python::install(&self.run_directory).map_err(directory_failure)?;
        let inputs = serde_json::to_vec(&self.inputs).unwrap_or_default();
        self.run_directory
            .write("inputs.json", &inputs, 0o600)
            .map_err(directory_failure)?;
        let mut environment = self.environment();
        set(&mut environment, self.process.env.clone());
        self.add_ctx(&mut environment).map_err(directory_failure)?;
        let socket = self.run_directory.path().join(SOCKET);
        let listener = server::listen(&socket).map_err(directory_failure)?;
        set(
            &mut environment,
            [(SOCKET_VARIABLE.to_owned(), socket.display().to_string())],
        );
        let words = [interpreter, "-B", "-u", &program, &script.path];
        let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        let start = Start {
            run_directory: &self.run_directory,
            process: &self.process,
            command: format!("exec {}", words.join(" ")),
            is_logged: false,
            environment,
        };
        start.run(&self.log, server::serve(listener, self)).await
    }

    /// Returns a warning for each input that replaces a variable on which every process depends.
    fn replaced_variables(&self) -> Vec<LogLine> {
        let variables = self.process.variables(&self.inputs).into_iter();
        let sensitive = variables.filter(|(name, _)| {
            matches!(name.as_str(), "PATH" | "IFS" | "ENV" | "BASH_ENV") || name.starts_with("LD_")
        });
        let line = |(name, _): (String, String)| {
            let text = format!("`{name}` of this operation replaces the variable of dockctl");
            LogLine::new(LogLevel::Warning, text)
        };
        sensitive.map(line).collect()
    }

    /// Returns the environment of dockctl for scripts.
    pub(super) fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut all: BTreeMap<OsString, OsString> =
            self.driver.environment.iter().cloned().collect();
        all.entry("TMPDIR".into())
            .or_insert_with(|| TEMPORARY.into());
        all
    }

    /// Puts `ctx` and `ctx-sh` into the PATH.
    fn add_ctx(&self, environment: &mut BTreeMap<OsString, OsString>) -> io::Result<()> {
        self.run_directory
            .write("bin/ctx-sh", CTX_SH.as_bytes(), 0o700)?;
        let bin = self.run_directory.path().join("bin");
        symlink(&self.driver.program, bin.join(NAME))?;
        let path = environment.entry("PATH".into()).or_default();
        let rest = std::mem::take(path);
        path.push(bin);
        if !rest.is_empty() {
            path.push(":");
            path.push(rest);
        }
        Ok(())
    }

    /// Stores what the script told, for a later process.
    fn remember(&self) -> Result<(), Failure> {
        let told = Told {
            command: self.command.borrow().clone(),
            verdict: self.context.borrow().verdict.clone(),
            requested_retry: self.context.borrow().requested_retry.clone(),
            raised: self.raised.borrow().clone(),
        };
        let told = self.secrets.redact_json(json!(told));
        self.run_directory.store(&told).map_err(directory_failure)
    }

    fn remembered(&self, value: Json) -> Reply {
        match self.remember() {
            Ok(()) => Reply::Result(value),
            Err(failure) => ContextError::runtime(failure.message).into(),
        }
    }

    async fn reply(&self, request: Request) -> Reply {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() > MAX_CALLS {
            let message = format!("an operation may call ctx {MAX_CALLS} times");
            return ContextError::runtime(message).into();
        }
        match request {
            Request::Call { args, cwd } => self.answer(&args, cwd.as_deref()).await,
            Request::Change { change, edits } => self.change(change.into(), edits).await,
            Request::Describe { .. } => Reply::Result(self.context.borrow().to_json()),
            Request::Raise { raise } => {
                self.raised.replace(Some(raise));
                self.remembered(Json::Null)
            }
            Request::Secret { secret } => {
                let secrets = ScriptSecrets::new(self.secrets, &self.call.deployment);
                secrets.reply(&secret).unwrap_or_else(Reply::from)
            }
        }
    }

    async fn answer(&self, arguments: &[Json], cwd: Option<&str>) -> Reply {
        let decided = || {
            let context = self.context.borrow();
            (context.verdict.clone(), context.requested_retry.clone())
        };
        let before = decided();
        let answer = self.context.borrow_mut().answer(arguments);
        let hints = std::mem::take(&mut self.context.borrow_mut().hints);
        self.log.write(hints).await;
        if decided() != before
            && let Err(failure) = self.remember()
        {
            return ContextError::runtime(failure.message).into();
        }
        match answer {
            Err(error) => error.into(),
            Ok(Answer::Value(value) | Answer::Returned(value)) => Reply::Result(value),
            Ok(Answer::Stop(message)) => Reply::StopOperation { message },
            Ok(Answer::Log(line)) => {
                self.log.write(vec![line]).await;
                Reply::Result(Json::Null)
            }
            Ok(Answer::Write(side, edit)) => {
                self.note(side, vec![edit]).await;
                Reply::Result(Json::Null)
            }
            Ok(Answer::Resource(resource)) => match self.deliver(&resource, cwd).await {
                Ok(value) => Reply::Result(value),
                Err(error) => error.into(),
            },
        }
    }

    /// Changes runtime properties, as the package of Python scripts asks.
    async fn change(&self, side: Side, edits: Vec<Edit>) -> Reply {
        for edit in &edits {
            if let Err(error) = self.context.borrow_mut().apply(side, edit) {
                return error.into();
            }
        }
        self.note(side, edits).await;
        Reply::Result(Json::Null)
    }

    /// Stores changes in the journal.
    async fn note(&self, side: Side, edits: Vec<Edit>) {
        let id = {
            let context = self.context.borrow();
            let participant = context.participant(side);
            participant
                .map(|it| it.instance.id.clone())
                .unwrap_or_default()
        };
        let mut outputs = Outputs::default();
        if id == self.call.instance() {
            outputs.edits = edits;
        } else {
            outputs.others.insert(id, edits);
        }
        (self.notes)(StepNote::Outputs(outputs)).await;
    }
}

impl Handler for Operation<'_> {
    fn handle(&self, request: Request) -> LocalBoxFuture<'_, Reply> {
        Box::pin(self.reply(request))
    }
}

fn set(
    environment: &mut BTreeMap<OsString, OsString>,
    variables: impl IntoIterator<Item = (String, String)>,
) {
    let variables = variables.into_iter();
    environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as an argument of map_err"
)]
pub(super) fn directory_failure(error: io::Error) -> Failure {
    Failure::fatal(format!(
        "cannot prepare the directory of the script: {error}"
    ))
    .temporary()
}

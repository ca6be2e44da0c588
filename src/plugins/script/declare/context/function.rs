//! The functions of `ctx` that a script can call.

use super::{
    Answer, Context, ContextError, Delivery, Resource,
    logging::formatted,
    verdict::{Stop, Verdict},
};
use crate::{
    model::function::python_text,
    plugins::script::declare::python_json::is_truthy,
    seam::{LogLevel, LogLine},
};
use serde_json::{Map as JsonMap, Value as Json};

/// A function of `ctx`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Function {
    Log(LogLevel),
    Returns,
    Abort,
    Retry,
    OperationRetry,
    Download,
    DownloadAndRender,
    GetResource,
    GetResourceAndRender,
    SendEvent,
    GetOperation,
    UpdateOperation,
    Update,
    Capabilities,
}

impl Function {
    /// Returns the name in error messages, and the names of the parameters. The names are Python's,
    /// because scripts and their users compare the messages.
    fn signature(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Log(_) => ("Logger._log", &["msg"]),
            Self::Returns => ("process_execution.<locals>.returns", &["value"]),
            Self::Abort => ("process_execution.<locals>.abort_operation", &["message"]),
            Self::Retry => (
                "process_execution.<locals>.retry_operation",
                &["message", "retry_after"],
            ),
            Self::OperationRetry => ("OperationContext.retry", &["message", "retry_after"]),
            Self::Download => (
                "CloudifyContext.download_resource",
                &["resource_path", "target_path"],
            ),
            Self::DownloadAndRender => (
                "CloudifyContext.download_resource_and_render",
                &["resource_path", "target_path", "template_variables"],
            ),
            Self::GetResource => ("CloudifyContext.get_resource", &["resource_path"]),
            Self::GetResourceAndRender => (
                "CloudifyContext.get_resource_and_render",
                &["resource_path", "template_variables"],
            ),
            Self::SendEvent => ("CloudifyContext.send_event", &["event"]),
            Self::GetOperation => ("CloudifyContext.get_operation", &[]),
            Self::UpdateOperation => ("CloudifyContext.update_operation", &["state"]),
            Self::Update => ("NodeInstanceContext.update", &[]),
            Self::Capabilities => ("ContextCapabilities.get_all", &[]),
        }
    }

    /// Returns the number of parameters that have no default value.
    fn required(self) -> usize {
        match self {
            Self::Log(_)
            | Self::Returns
            | Self::Download
            | Self::DownloadAndRender
            | Self::GetResource
            | Self::GetResourceAndRender
            | Self::SendEvent
            | Self::UpdateOperation => 1,
            _ => 0,
        }
    }

    /// Assigns arguments to parameters. A mapping as last argument has keyword arguments.
    fn assign(self, arguments: &[Json]) -> Result<Vec<Option<Json>>, ContextError> {
        let (name, parameters) = self.signature();
        let (positional, keywords) = split_keywords(arguments);
        if positional.len() > parameters.len() {
            let message = format!(
                "{name}() takes {} but {} given",
                counted(parameters.len(), "positional argument"),
                match positional.len() {
                    1 => "1 was".to_owned(),
                    n => format!("{n} were"),
                }
            );
            return Err(ContextError::type_error(message));
        }
        let mut values: Vec<Option<Json>> = positional.iter().cloned().map(Some).collect();
        values.resize(parameters.len(), None);
        for (keyword, value) in keywords {
            let at = parameters.iter().position(|it| **it == keyword);
            match at {
                None => return Err(unexpected(name, &keyword)),
                Some(at) if values[at].is_some() => return Err(repeated(name, &keyword)),
                Some(at) => values[at] = Some(value),
            }
        }
        match (0..self.required()).find(|at| values[*at].is_none()) {
            Some(at) => Err(ContextError::type_error(format!(
                "{name}() missing 1 required positional argument: '{}'",
                parameters[at]
            ))),
            None => Ok(values),
        }
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn unexpected(name: &str, keyword: &str) -> ContextError {
    ContextError::type_error(format!(
        "{name}() got an unexpected keyword argument '{keyword}'"
    ))
}

fn repeated(name: &str, keyword: &str) -> ContextError {
    ContextError::type_error(format!(
        "{name}() got multiple values for argument '{keyword}'"
    ))
}

/// Returns an argument that may be left out; null counts as left out.
fn given(value: Option<Json>) -> Option<Json> {
    value.filter(|value| !value.is_null())
}

impl Context {
    /// Calls a function.
    pub(super) fn invoke(
        &mut self,
        function: Function,
        arguments: &[Json],
    ) -> Result<Answer, ContextError> {
        if let Function::Log(level) = function {
            return log(level, arguments);
        }
        let mut values = function.assign(arguments)?.into_iter();
        let mut next = || values.next().flatten();
        match function {
            Function::Log(_) | Function::Update | Function::GetOperation => {
                Ok(Answer::Value(Json::Null))
            }
            Function::Returns => self.decide(Verdict::Returned(next().unwrap_or_default())),
            Function::Abort => {
                let message = python_text(&next().unwrap_or_default());
                self.decide(Verdict::Stopped(Stop::Abort { message }))
            }
            Function::Retry => {
                let stop = retry(next(), next());
                self.decide(Verdict::Stopped(stop))
            }
            Function::OperationRetry => {
                self.requested_retry = Some(retry(next(), next()));
                Ok(Answer::Returned(Json::Null))
            }
            Function::Download => resource(next(), |path| Resource {
                path,
                delivery: Delivery::File(given(next()).map(|it| python_text(&it))),
                variables: None,
            }),
            Function::DownloadAndRender => {
                let (path, target) = (next(), given(next()));
                let variables = variables(next())?;
                resource(path, |path| Resource {
                    path,
                    delivery: Delivery::File(target.map(|it| python_text(&it))),
                    variables: Some(variables),
                })
            }
            Function::GetResource => resource(next(), |path| Resource {
                path,
                delivery: Delivery::Text,
                variables: None,
            }),
            Function::GetResourceAndRender => {
                let path = next();
                let variables = variables(next())?;
                resource(path, |path| Resource {
                    path,
                    delivery: Delivery::Text,
                    variables: Some(variables),
                })
            }
            Function::SendEvent => {
                let text = python_text(&next().unwrap_or_default());
                Ok(Answer::Log(LogLine::new(LogLevel::Info, text)))
            }
            Function::UpdateOperation => Err(ContextError::final_error(
                "dockctl keeps the state of operations itself",
            )),
            Function::Capabilities => Ok(Answer::Value(self.capabilities())),
        }
    }

    /// Returns the runtime properties of all related instances, by ID.
    fn capabilities(&self) -> Json {
        let related = self.related.iter();
        related
            .map(|it| (it.instance.id.clone(), it.properties.clone().into()))
            .collect::<JsonMap<_, _>>()
            .into()
    }

    /// Sets what the operation ends with. A script can do this once.
    fn decide(&mut self, verdict: Verdict) -> Result<Answer, ContextError> {
        if !self.verdict.is_open() {
            if !self.is_python {
                self.verdict = Verdict::Contradiction;
            }
            return Err(ContextError::runtime(Verdict::CONTRADICTION));
        }
        let answer = match &verdict {
            Verdict::Stopped(stop) => Answer::Stop(stop.message().to_owned()),
            _ => Answer::Returned(Json::Null),
        };
        self.verdict = verdict;
        Ok(answer)
    }
}

/// Logs a message. Python's loggers take these keywords.
fn log(level: LogLevel, arguments: &[Json]) -> Result<Answer, ContextError> {
    let (positional, mut keywords) = split_keywords(arguments);
    let name = format!("Logger.{}", level.as_str());
    let message = keywords.remove("msg");
    let message = match (message, positional) {
        (Some(_), [_, ..]) => return Err(repeated(&name, "msg")),
        (Some(message), []) => message,
        (None, [message, ..]) => message.clone(),
        (None, []) => {
            let message = format!("{name}() missing 1 required positional argument: 'msg'");
            return Err(ContextError::type_error(message));
        }
    };
    let known = ["exc_info", "extra", "stack_info", "stacklevel"];
    if let Some(keyword) = keywords.keys().find(|it| !known.contains(&it.as_str())) {
        return Err(unexpected("Logger._log", keyword));
    }
    let text = formatted(
        &python_text(&message),
        positional.get(1..).unwrap_or_default(),
    )?;
    Ok(Answer::Log(LogLine::new(level, text)))
}

/// A mapping as the last argument has keyword arguments.
fn split_keywords(arguments: &[Json]) -> (&[Json], JsonMap<String, Json>) {
    match arguments {
        [positional @ .., Json::Object(keywords)] => (positional, keywords.clone()),
        positional => (positional, JsonMap::new()),
    }
}

/// A delay that is no number of seconds is left to the default: the retry itself must not get lost.
fn retry(message: Option<Json>, after: Option<Json>) -> Stop {
    let seconds = match after {
        Some(Json::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    Stop::Retry {
        message: python_text(&message.unwrap_or_default()),
        after: seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0),
    }
}

fn variables(value: Option<Json>) -> Result<JsonMap<String, Json>, ContextError> {
    let variables = match given(value) {
        None => JsonMap::new(),
        Some(Json::Object(variables)) => variables,
        Some(other) if !is_truthy(&other) => JsonMap::new(),
        Some(_) => {
            return Err(ContextError::type_error(
                "template_variables is not a mapping",
            ));
        }
    };
    if variables.contains_key("ctx") {
        Err(ContextError::final_error(
            "Key not allowed - a key named ctx is in template_variables",
        ))
    } else {
        Ok(variables)
    }
}

fn resource(
    path: Option<Json>,
    of: impl FnOnce(String) -> Resource,
) -> Result<Answer, ContextError> {
    let path = python_text(&path.unwrap_or_default());
    Ok(Answer::Resource(of(path)))
}

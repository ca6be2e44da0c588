//! The connection to one engine: found once, its API version negotiated once.
//!
//! Wraps what its library leaves to the caller: paths get the negotiated version, connections are kept,
//! and calls that were lost on the way are repeated. Creating and inspecting go past the library's own
//! types, which would drop what they do not know.

use super::{
    host::{ConnectError, Host},
    version::{NEWEST, OLDEST, Version},
    wire::Wire,
};
use crate::backend::{Failure, docker::images::in_query};
use backon::{ExponentialBuilder, Retryable as _};
use bollard::{BollardRequest, Docker, body_full, body_try_stream, errors::Error};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value as Json;
use std::{io, pin::Pin, sync::Arc, time::Duration};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

/// Longest wait for the first answer.
const FIRST_CONTACT: Duration = Duration::from_millis(2500);
/// The same over ssh, which has to log in first.
const FIRST_CONTACT_SSH: Duration = Duration::from_secs(15);
/// Longest wait for the head of an ordinary answer, in seconds.
const ANSWER: u64 = 120;

/// Longest line of an answer, in bytes.
const LINE: usize = 16 << 20;

/// A body that is made while it is sent.
pub(in super::super) type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A connection to one engine.
pub(in super::super) struct Client {
    docker: Docker,
    wire: Arc<Wire>,
    version: Version,
    /// Longest wait for the head of an ordinary answer, in seconds.
    answer: u64,
    host: Option<String>,
    is_podman: bool,
}

impl Client {
    /// Connects and negotiates. Takes at most three seconds.
    pub(in super::super) async fn connect(host: &Host) -> Result<Self, ConnectError> {
        let wire = Arc::new(Wire::open(host)?);
        let silent = |reason: String| ConnectError::Silent { host: host.clone(), reason: wire.complaint().unwrap_or(reason) };
        let patience = if host.address.starts_with("ssh:") { FIRST_CONTACT_SSH } else { FIRST_CONTACT };
        let answer = tokio::time::timeout(patience, ask(&wire, Method::GET, "/version", None)).await;
        let engine = match answer {
            Ok(answer) => answer.map_err(|error| silent(first_answer(&error)))?,
            Err(_) => return Err(silent(format!("no answer within {} seconds", patience.as_secs_f32()))),
        };
        let version = negotiate(&engine, host)?;
        tracing::info!(%host, %version, "connected");
        let shared = wire.clone();
        let transport = move |request| shared.send(pinned(request, version));
        let answer = host.timeout.unwrap_or(ANSWER);
        let docker = Docker::connect_with_custom_transport(transport, Some("http://engine"), answer, bollard::API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| silent(error.to_string()))?;
        Ok(Self { docker, wire, version, answer, host: host.machine(), is_podman: is_podman(&engine) })
    }

    /// The version that both sides speak.
    pub(in super::super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the engine is Podman, which differs here and there.
    pub(in super::super) fn is_podman(&self) -> bool {
        self.is_podman
    }

    /// Asks Podman to run a container's health check: it leaves that to a service manager, which may not be there.
    pub(in super::super) async fn run_podman_check(&self, id: &str) {
        let path = format!("/v4.0.0/libpod/containers/{id}/healthcheck");
        // What comes of it shows in the container.
        let _ = self.answered(ask(&self.wire, Method::GET, &path, None)).await;
    }

    /// The machine that the engine is on; none if it is this one.
    pub(in super::super) fn host(&self) -> Option<String> {
        self.host.clone()
    }

    /// The library's handle.
    pub(in super::super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The handle for a call whose answer may take `seconds` longer than others.
    pub(in super::super) fn patient(&self, seconds: u64) -> Docker {
        self.docker.clone().with_timeout(Duration::from_secs(self.answer.saturating_add(seconds)))
    }

    /// Asks for JSON and loses nothing of it.
    pub(in super::super) async fn get(&self, path: &str) -> Result<Json, Error> {
        self.ask(path, &[]).await
    }

    /// As [`get`](Self::get), with parameters.
    pub(in super::super) async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Json, Error> {
        let path = self.path(path, query);
        self.repeat(|| self.answered(ask(&self.wire, Method::GET, &path, None))).await
    }

    /// Sends JSON as it is.
    pub(in super::super) async fn post(&self, path: &str, query: &[(&str, String)], body: &Json) -> Result<Json, Error> {
        let path = self.path(path, query);
        self.repeat(|| self.answered(ask(&self.wire, Method::POST, &path, Some(body)))).await
    }

    /// Sends a request without a body.
    pub(in super::super) async fn send(&self, path: &str, query: &[(&str, String)]) -> Result<Json, Error> {
        let path = self.path(path, query);
        self.repeat(|| self.answered(ask(&self.wire, Method::POST, &path, None))).await
    }

    /// Asks for something to be removed.
    pub(in super::super) async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Json, Error> {
        let path = self.path(path, query);
        self.repeat(|| self.answered(ask(&self.wire, Method::DELETE, &path, None))).await
    }

    /// The JSON documents of an answer that goes on for a while, one a line. A line that holds an
    /// error is one, whatever the status was. `auth` says to a registry who asks. There is no limit to
    /// how long it takes: an upload is answered when it is over.
    pub(in super::super) fn lines<'s>(
        &'s self,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, Error>> + use<'s> {
        let head = http::Request::builder().method(Method::POST).uri(self.path(path, query)).header("Content-Type", "application/x-tar");
        let head = auth.iter().fold(head, |head, auth| head.header("X-Registry-Auth", *auth));
        let body = body.map_or_else(|| body_full(Bytes::new()), body_try_stream);
        let sent = async move {
            let response = self.wire.send(head.body(body)?).await?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            Ok(documents(response.into_body()))
        };
        sent.try_flatten_stream()
    }

    /// Waits until a container does not run; whether the engine said so.
    pub(in super::super) async fn ended(&self, id: &str) -> bool {
        let path = self.path(&format!("/containers/{id}/wait"), &[("condition", "not-running".to_owned())]);
        ask(&self.wire, Method::POST, &path, None).await.is_ok()
    }

    /// The platform of the engine, as `os/architecture`.
    pub(in super::super) async fn platform(&self) -> Result<String, Error> {
        let version = self.get("/version").await?;
        let text = |field: &str| version[field].as_str().unwrap_or_default().to_owned();
        Ok(format!("{}/{}", text("Os"), text("Arch")))
    }

    fn path(&self, path: &str, query: &[(&str, String)]) -> String {
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", in_query(value))).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("/v{}{path}{query}", self.version)
    }

    async fn answered<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(Duration::from_secs(self.answer), call).await.unwrap_or(Err(Error::RequestTimeoutError))
    }

    /// Repeats a call that was lost on the way or met an engine in transition. Only for calls that
    /// may reach the engine twice.
    pub(in super::super) async fn repeat<T, F: Future<Output = Result<T, Error>>>(&self, call: impl FnMut() -> F) -> Result<T, Error> {
        let policy = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4).with_jitter();
        call.retry(policy).when(is_passing).notify(|error, delay| tracing::warn!(%error, ?delay, "asking the engine again")).await
    }
}

/// Why the first answer is none. What something else than an engine says is nobody's concern.
fn first_answer(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } if message.contains("HTTPS server") => {
            "it speaks TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem".to_owned()
        }
        Error::DockerResponseServerError { status_code, .. } => {
            format!("something answers there, but it is no Docker engine (HTTP {status_code})")
        }
        Error::JsonSerdeError { .. } => "something answers there, but it is no Docker engine (no JSON)".to_owned(),
        other => match innermost(other) {
            reason if reason.contains("corrupt message") => format!("it does not speak TLS ({reason})"),
            reason => reason,
        },
    }
}

fn is_podman(engine: &Json) -> bool {
    engine["Components"].as_array().into_iter().flatten().any(|part| part["Name"].as_str().is_some_and(|name| name.starts_with("Podman")))
}

/// The newest version that both sides speak.
fn negotiate(engine: &Json, host: &Host) -> Result<Version, ConnectError> {
    let [newest, oldest] = ["ApiVersion", "MinAPIVersion"].map(|field| engine[field].as_str().and_then(Version::parse));
    let spoken = format!("{} to {}", oldest.unwrap_or(OLDEST), newest.unwrap_or(NEWEST));
    let version = newest.unwrap_or(NEWEST).min(NEWEST);
    if version < oldest.unwrap_or(OLDEST).max(OLDEST) {
        return Err(ConnectError::Version { host: host.clone(), spoken });
    }
    // A version that is asked for is a wish: blueprints name what was current when they were written.
    Ok(host.version.filter(|wish| *wish <= version && *wish >= oldest.unwrap_or(OLDEST).max(OLDEST)).unwrap_or(version))
}

/// Puts the version into the path: the library sends paths without one, and engines then answer in their newest.
fn pinned(request: BollardRequest, version: Version) -> BollardRequest {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = format!("/v{version}{path}").parse().unwrap_or(parts.uri);
    BollardRequest::from_parts(parts, body)
}

async fn ask(wire: &Wire, method: Method, path: &str, body: Option<&Json>) -> Result<Json, Error> {
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", "application/json").body(body_full(bytes))?;
    let response = wire.send(request).await?;
    if !response.status().is_success() && response.status().as_u16() != 304 {
        return Err(refused(response).await);
    }
    // Podman says `OK` where Docker says nothing.
    let is_json = response.headers().get("Content-Type").is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = bytes.trim_ascii();
    Ok(if text.is_empty() || !is_json { Json::Null } else { serde_json::from_slice(text)? })
}

/// What an answer that is no success says.
async fn refused(response: http::Response<Incoming>) -> Error {
    let status_code = response.status().as_u16();
    let bytes = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return error.into(),
    };
    let answer: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = answer["message"].as_str().map_or_else(|| String::from_utf8_lossy(&bytes).into_owned(), str::to_owned);
    Error::DockerResponseServerError { status_code, message }
}

/// One document a line, as far as whole lines have come.
fn documents(body: Incoming) -> impl Stream<Item = Result<Json, Error>> {
    let reader = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LINE));
    let read = |line: Result<String, LinesCodecError>| match line {
        Ok(line) if line.trim().is_empty() => Ok(None),
        Ok(line) => document(&line).map(Some),
        Err(LinesCodecError::Io(err)) => Err(Error::IOError { err }),
        Err(error) => Err(Error::IOError { err: io::Error::other(error) }),
    };
    lines.map(read).filter_map(|line| std::future::ready(line.transpose()))
}

fn document(line: &str) -> Result<Json, Error> {
    let json: Json = serde_json::from_str(line)?;
    match json["error"].as_str() {
        Some(error) => Err(Error::DockerStreamError { error: error.to_owned() }),
        None => Ok(json),
    }
}

/// Whether an error may pass by itself.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            *status_code >= 502 || (*status_code == 409 && message.contains("in progress"))
        }
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } | Error::IOError { .. } => true,
        _ => false,
    }
}

/// The cause at the bottom of an error: that is what its user can do something about.
pub(in super::super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What the engine's status code is, if it answered.
pub(in super::super) fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error { Some(*status_code) } else { None }
}

/// Puts an error into words. Refusals (4xx) are final, so are 5xx that name a conflict a person must solve.
pub(in super::super) fn failure(error: &Error, doing: &str) -> Failure {
    let (message, recoverable) = match error {
        Error::DockerResponseServerError { status_code, message } => (message.trim().to_owned(), *status_code >= 500),
        Error::DockerStreamError { error } => (error.trim().to_owned(), true),
        Error::RequestTimeoutError => ("the engine did not answer in time".to_owned(), true),
        other => (format!("the connection to the engine was lost: {}", innermost(other)), true),
    };
    let lasting = [
        "port is already allocated",
        "address already in use",
        "executable file not found",
        "no such host",
        "connection refused",
        "server gave HTTP response",
    ];
    let said = status(error).is_some() || matches!(error, Error::DockerStreamError { .. });
    let recoverable = recoverable && !(said && lasting.iter().any(|text| message.contains(text)));
    let failure = Failure { message: format!("{doing}: {message}"), recoverable, ..Failure::default() };
    if message.contains("port is already allocated") || message.contains("address already in use") {
        return failure.hint("another program or container holds the port: publish another one, or stop the holder");
    }
    failure
}

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
use crate::{
    backend::{Failure, docker::images::in_query},
    event::now,
};
use backon::{ExponentialBuilder, Retryable as _};
use bollard::{BollardRequest, Docker, body_full, body_try_stream, container::LogOutput, errors::Error, query_parameters::LogsOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value as Json;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

/// Longest wait for the first answer.
const FIRST_CONTACT: Duration = Duration::from_millis(2500);
/// The same over ssh, which has to log in first.
const FIRST_CONTACT_SSH: Duration = Duration::from_secs(15);
/// Longest wait for an ordinary answer where nothing is said, in seconds; the default of `--engine-timeout`.
pub(crate) const ANSWER: u64 = 120;
/// The engine's clock counts as this machine's if they differ by less, in milliseconds: it tells whole seconds.
const SAME_CLOCK: i64 = 2000;

/// Longest line of an answer, in bytes.
const LINE: usize = 16 << 20;

/// A body that is made while it is sent.
pub(in super::super) type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A connection to one engine.
pub(in super::super) struct Client {
    docker: Docker,
    wire: Arc<Wire>,
    version: Version,
    /// Longest wait for an ordinary answer, in seconds.
    answer: u64,
    host: Option<String>,
    is_podman: bool,
    /// How far the engine's clock is ahead of this machine's, in milliseconds.
    skew: i64,
}

/// When something was last heard of a call that goes on for a while.
#[derive(Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer for as long as something is heard now and then.
    async fn within<T>(&self, patience: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let end = self.last() + patience;
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep_until(end) => if self.last() + patience <= end { return Err(Error::RequestTimeoutError) },
            }
        }
    }
}

impl Client {
    /// Connects and negotiates. Takes at most three seconds.
    pub(in super::super) async fn connect(host: &Host) -> Result<Self, ConnectError> {
        let wire = Arc::new(Wire::open(host)?);
        let silent = |reason: String| ConnectError::Silent { host: host.clone(), reason: wire.complaint().unwrap_or(reason) };
        let patience = if host.address.starts_with("ssh:") { FIRST_CONTACT_SSH } else { FIRST_CONTACT };
        let asked = now();
        let answer = timeout(patience, exchange(&wire, Method::GET, "/version", None)).await;
        let (date, engine) = match answer {
            Ok(answer) => answer.map_err(|error| silent(first_answer(&error)))?,
            Err(_) => return Err(silent(format!("no answer within {} seconds", patience.as_secs_f32()))),
        };
        let skew = date.map_or(0, |date| skew(date, asked, now()));
        let version = negotiate(&engine, host)?;
        tracing::info!(%host, %version, "connected");
        let shared = wire.clone();
        let transport = move |request| shared.send(pinned(request, version));
        let answer = host.timeout.unwrap_or(ANSWER);
        let docker = Docker::connect_with_custom_transport(transport, Some("http://engine"), answer, bollard::API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| silent(error.to_string()))?;
        Ok(Self { docker, wire, version, answer, host: host.machine(), is_podman: is_podman(&engine), skew })
    }

    /// The version that both sides speak.
    pub(in super::super) fn version(&self) -> Version {
        self.version
    }

    /// What the engine's clock shows when this machine's shows `at`; both in milliseconds since 1970 UTC.
    pub(in super::super) fn on_its_clock(&self, at: u64) -> u64 {
        at.saturating_add_signed(self.skew)
    }

    /// What the engine's clock shows, in milliseconds since 1970 UTC.
    pub(in super::super) fn now(&self) -> u64 {
        self.on_its_clock(now())
    }

    /// How far apart two times of its clock may be and still be the same, in milliseconds.
    pub(in super::super) fn tolerance(&self) -> u64 {
        if self.skew == 0 { 0 } else { SAME_CLOCK.unsigned_abs() }
    }

    /// Whether a connection to the engine was lost since this was last asked.
    pub(in super::super) fn was_cut(&self) -> bool {
        self.wire.was_cut()
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
        self.repeat_if(is_passing_when_read, || self.answered(ask(&self.wire, Method::GET, &path, None))).await
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
    /// how long it takes, but something has to be heard, or taken of the body, within the time of an ordinary answer.
    pub(in super::super) fn lines<'s>(
        &'s self,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, Error>> + use<'s> {
        self.lines_within(Duration::from_secs(self.answer), path, query, auth, body)
    }

    /// As [`lines`](Self::lines), with another time for the longest silence.
    pub(in super::super) fn lines_within<'s>(
        &'s self,
        patience: Duration,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, Error>> + use<'s> {
        let head = http::Request::builder().method(Method::POST).uri(self.path(path, query)).header("Content-Type", "application/x-tar");
        let head = auth.iter().fold(head, |head, auth| head.header("X-Registry-Auth", *auth));
        let activity = Heard::now();
        let sent_now = activity.clone();
        let body = body
            .map_or_else(|| body_full(Bytes::new()), |body| body_try_stream(Box::pin(body.inspect(move |_| sent_now.again())) as Upload));
        let sent = async move {
            let response = activity.within(patience, async { self.wire.send(head.body(body)?).await }).await?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            Ok(in_time(patience, documents(response.into_body())))
        };
        sent.try_flatten_stream()
    }

    /// What happens to containers from a moment of the engine's clock on, for as long as the connection holds; filters as the
    /// engine takes them. The first item is null, and says that the engine listens.
    pub(in super::super) fn events(&self, since: u64, filters: &Json) -> impl Stream<Item = Result<Json, Error>> + use<> {
        let query = [("since", (since / 1000).to_string()), ("filters", filters.to_string())];
        let (wire, path) = (self.wire.clone(), self.path("/events", &query));
        let sent = async move {
            let request = http::Request::builder().method(Method::GET).uri(path).body(body_full(Bytes::new()))?;
            let response = wire.send(request).await?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            Ok(futures_util::stream::once(std::future::ready(Ok(Json::Null))).chain(documents(response.into_body())))
        };
        sent.try_flatten_stream()
    }

    /// What a container wrote.
    pub(in super::super) fn logs<'s>(&'s self, id: &str, options: LogsOptions) -> impl Stream<Item = Result<LogOutput, Error>> + use<'s> {
        in_time(Duration::from_secs(self.answer), self.docker.logs(id, Some(options)))
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
        timeout(Duration::from_secs(self.answer), call).await.unwrap_or(Err(Error::RequestTimeoutError))
    }

    /// Repeats a call that was lost on the way or met an engine in transition. Only for calls that
    /// may reach the engine twice.
    pub(in super::super) async fn repeat<T, F: Future<Output = Result<T, Error>>>(&self, call: impl FnMut() -> F) -> Result<T, Error> {
        self.repeat_if(is_passing, call).await
    }

    async fn repeat_if<T, F: Future<Output = Result<T, Error>>>(
        &self,
        passes: fn(&Error) -> bool,
        call: impl FnMut() -> F,
    ) -> Result<T, Error> {
        call.retry(pauses()).when(passes).notify(|error, delay| tracing::warn!(%error, ?delay, "asking the engine again")).await
    }
}

/// Pauses between the tries of one call: four, together about two seconds.
pub(in super::super) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4).with_jitter()
}

/// Ends a stream that says nothing for too long.
fn in_time<T>(patience: Duration, stream: impl Stream<Item = Result<T, Error>>) -> impl Stream<Item = Result<T, Error>> {
    futures_util::stream::unfold(Some(Box::pin(stream)), move |stream| async move {
        let mut stream = stream?;
        match timeout(patience, stream.next()).await {
            Ok(next) => next.map(|item| (item, Some(stream))),
            Err(_) => Some((Err(Error::RequestTimeoutError), None)),
        }
    })
}

/// How far a clock is ahead that showed `date`, a whole second, between two moments of this machine's.
fn skew(date: i64, asked: u64, answered: u64) -> i64 {
    let here = i64::try_from(asked.midpoint(answered)).unwrap_or(i64::MAX);
    let ahead = date.saturating_mul(1000).saturating_add(500).saturating_sub(here);
    if ahead.abs() < SAME_CLOCK { 0 } else { ahead }
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
    exchange(wire, method, path, body).await.map(|(_, json)| json)
}

/// Asks, and gives the answer with its time: seconds since 1970 UTC, as the engine's clock shows them.
async fn exchange(wire: &Wire, method: Method, path: &str, body: Option<&Json>) -> Result<(Option<i64>, Json), Error> {
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", "application/json").body(body_full(bytes))?;
    let response = wire.send(request).await?;
    if !response.status().is_success() && response.status().as_u16() != 304 {
        return Err(refused(response).await);
    }
    // Podman says `OK` where Docker says nothing.
    let is_json = response.headers().get("Content-Type").is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let date = response.headers().get("Date").and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    let date = date.map(|date| date.timestamp().as_second());
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = bytes.trim_ascii();
    Ok((date, if text.is_empty() || !is_json { Json::Null } else { serde_json::from_slice(text)? }))
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

/// Whether an error may pass by itself where nothing is changed by asking again.
fn is_passing_when_read(error: &Error) -> bool {
    match error {
        // That a container does not run is 500 to some engines.
        Error::DockerResponseServerError { status_code, message } => *status_code >= 500 && !message.contains("running"),
        Error::JsonSerdeError { .. } | Error::JsonDataError { .. } => true,
        other => is_passing(other),
    }
}

/// Whether an error may pass by itself.
pub(in super::super) fn is_passing(error: &Error) -> bool {
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
    let (message, recoverable, lost) = match error {
        Error::DockerResponseServerError { status_code, message } => (message.trim().to_owned(), *status_code >= 500, *status_code >= 500),
        Error::DockerStreamError { error } => (error.trim().to_owned(), true, false),
        Error::RequestTimeoutError => ("the engine did not answer in time (--engine-timeout)".to_owned(), true, true),
        other => (format!("the connection to the engine was lost: {}", innermost(other)), true, true),
    };
    let lasting = [
        "port is already allocated",
        "all ports are allocated",
        "address already in use",
        "executable file not found",
        "no such host",
        "connection refused",
        "server gave HTTP response",
    ];
    let said = status(error).is_some() || matches!(error, Error::DockerStreamError { .. });
    let recoverable = recoverable && !(said && lasting.iter().any(|text| message.contains(text)));
    let failure = Failure { message: format!("{doing}: {message}"), recoverable, lost, ..Failure::default() };
    if message.contains("port is already allocated") || message.contains("address already in use") {
        return failure.hint("another program or container holds the port: publish another one, or stop the holder");
    }
    failure
}

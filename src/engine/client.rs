//! Client of one engine. It negotiates the API version once, when it connects.
//!
//! Request paths contain the negotiated version, connections are reused, lost calls are repeated,
//! and the size of responses is limited. Responses stay raw JSON, because the types of a library
//! would drop unknown fields.

use crate::{
    engine::{
        Kind, KnownMessage,
        encode::encode_query,
        encode_path,
        error::{EngineError, is_temporary, is_temporary_on_read, root_cause, status},
        host::{ConnectError, Host},
        response::{confirm_success, list, list_path, mapping, object, object_path, verify_id},
        stream::{documents, pieces},
        transport::{Body, Transport, body, streamed_body},
        version::{NEWEST, OLDEST, Supported, Version},
    },
    event::now,
    printable::truncated,
    seam::LogChunk,
};
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWrite,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::io::ReaderStream;

/// Longest wait for the first response.
const FIRST_CONTACT: Duration = Duration::from_millis(2500);
/// The same over ssh, which must log in first.
const FIRST_CONTACT_SSH: Duration = Duration::from_secs(15);
/// Longest wait for the answer to a ping: a busy engine is slow.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Default of `--engine-timeout`: longest wait for an ordinary response, in seconds.
pub(crate) const RESPONSE_TIMEOUT: u64 = 120;
/// Clock differences below this limit are ignored, in milliseconds: engines report whole seconds.
const CLOCK_TOLERANCE: i64 = 2000;

/// Longest reason in a message, in characters.
const MAX_REASON: usize = 500;
/// Largest response, in bytes.
const MAX_RESPONSE: usize = 64 << 20;
/// Most values and most JSON objects in one response. Each needs far more memory than its text.
const MAX_VALUES: usize = 4 << 20;
const MAX_OBJECTS: usize = 1 << 20;
/// Most bytes to read of an error response.
const MAX_ERROR_BODY: usize = 8 << 20;
/// Most bytes of a stream to read at once.
const READ_SIZE: usize = 64 << 10;

/// Request body that is produced while it is sent.
pub(crate) type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Connection to one engine.
pub(crate) struct Client {
    wire: Arc<Transport>,
    version: Version,
    /// Warning about the version, if dockctl was not checked with it.
    version_warning: Option<String>,
    /// Longest wait for an ordinary response, in seconds.
    response_timeout: u64,
    host: Option<String>,
    /// Major version of Podman; `None` for other engines.
    podman: Option<u32>,
    /// How far the engine's clock is ahead of this machine's, in milliseconds.
    skew: i64,
}

/// Time of the last activity of a long call.
#[derive(Clone)]
struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn record(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a response. Times out after `patience` without activity.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let end = self.last() + limit;
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep_until(end) => if self.last() + limit <= end { return Err(EngineError::TimedOut) },
            }
        }
    }
}

impl Client {
    /// Connects and negotiates the API version. Takes at most about three seconds, or 15 over ssh.
    pub(crate) async fn connect(host: &Host) -> Result<Self, ConnectError> {
        let wire = Arc::new(Transport::open(host)?);
        let silent = |reason: String| {
            let reason = truncated(&wire.ssh_error().unwrap_or(reason), MAX_REASON);
            ConnectError::Unreachable {
                host: host.clone(),
                reason,
            }
        };
        let limit = if host.address.starts_with("ssh:") {
            FIRST_CONTACT_SSH
        } else {
            FIRST_CONTACT
        };
        let requested = now();
        let answer = timeout(
            limit,
            request_with_date(&wire, Method::GET, "/version", None),
        )
        .await;
        let (date, engine) = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                wire.wait_for_ssh_error().await;
                return Err(silent(explain_first_response(&error)));
            }
            Err(_) => {
                return Err(silent(format!(
                    "no response within {} seconds",
                    limit.as_secs_f32()
                )));
            }
        };
        let skew = date.map_or(0, |date| skew(date, requested, now()));
        let supported = supported_versions(&engine, host)?;
        let version = negotiate(supported, host)?;
        tracing::info!(%host, %version, "connected");
        let answer = host.timeout.unwrap_or(RESPONSE_TIMEOUT);
        Ok(Self {
            wire,
            version,
            version_warning: version_warning(supported, host),
            response_timeout: answer,
            host: host.machine(),
            podman: podman_version(&engine),
            skew,
        })
    }

    /// Returns the negotiated API version.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Returns a warning if dockctl was not checked with any API version of the engine.
    pub(crate) fn version_warning(&self) -> Option<&str> {
        self.version_warning.as_deref()
    }

    /// Converts a time on this machine's clock to the engine's clock; both in milliseconds since
    /// 1970 UTC.
    pub(crate) fn to_engine_clock(&self, at: u64) -> u64 {
        at.saturating_add_signed(self.skew)
    }

    /// Returns the time on the engine's clock, in milliseconds since 1970 UTC.
    pub(crate) fn now(&self) -> u64 {
        self.to_engine_clock(now())
    }

    /// Returns the difference up to which two times on the engine's clock count as equal, in
    /// milliseconds.
    pub(crate) fn tolerance(&self) -> u64 {
        if self.skew == 0 {
            0
        } else {
            CLOCK_TOLERANCE.unsigned_abs()
        }
    }

    /// Returns true if a connection to the engine was lost since the last call of this method.
    pub(crate) fn was_disconnected(&self) -> bool {
        self.wire.was_disconnected()
    }

    /// Returns true if the engine is Podman, which differs in some details.
    pub(crate) fn is_podman(&self) -> bool {
        self.podman.is_some()
    }

    /// Returns true if the engine shows a container as exited until it restarts it, and sometimes
    /// sends no event when a user stops a container. Since Podman 5, it tells whether a user did.
    pub(crate) fn tells_stops_only_on_request(&self) -> bool {
        self.podman.is_some_and(|major| major >= 5)
    }

    /// Returns true if Podman shows that a user stopped a container.
    pub(crate) async fn was_stopped_by_user(&self, id: &str) -> bool {
        let path = format!("/v4.0.0/libpod/containers/{id}/json");
        let shown = self.with_response_timeout(request_json(&self.wire, Method::GET, &path, None));
        shown
            .await
            .is_ok_and(|container| container["State"]["StoppedByUser"] == true)
    }

    /// Makes Podman run a container's health check. Podman leaves that to a service manager, which
    /// may not be running.
    pub(crate) async fn run_podman_health_check(&self, id: &str) {
        let path = format!("/v4.0.0/libpod/containers/{id}/healthcheck");
        // The result appears in the state of the container.
        let _ = self
            .with_response_timeout(request_json(&self.wire, Method::GET, &path, None))
            .await;
    }

    /// Checks that the engine answers now. Unlike other calls, this one is not repeated.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        let asked = request(Method::GET, &self.path("/_ping", &[]), Bytes::new());
        let response = with_timeout(PING_TIMEOUT, self.wire.send(asked?)).await?;
        expect_success(response)
            .await?
            .into_body()
            .collect()
            .await
            .map(drop)
            .map_err(EngineError::lost)
    }

    /// Returns the engine's machine, or `None` if it is this machine.
    pub(crate) fn host(&self) -> Option<String> {
        self.host.clone()
    }

    /// Returns true if the engine is reached through a socket of this machine, whose paths it shares.
    pub(crate) fn is_local_socket(&self) -> bool {
        self.host.is_none()
    }

    /// Lists the objects of a kind.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        query: &[(&str, String)],
    ) -> Result<Vec<Json>, EngineError> {
        let path = self.path(list_path(kind), query);
        self.repeat_if(is_temporary_on_read, || async {
            list(self.get_json(&path).await?, kind)
        })
        .await
    }

    /// Returns the object with a name or ID, or `None` if it does not exist.
    pub(crate) async fn object(&self, kind: Kind, name: &str) -> Result<Option<Json>, EngineError> {
        self.object_with(kind, name, &[]).await
    }

    /// Like [`object`](Self::object), with a query.
    pub(crate) async fn object_with(
        &self,
        kind: Kind,
        name: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Json>, EngineError> {
        let path = self.path(&object_path(kind, &encode_path(name)), query);
        let requested = || async { verify_id(object(self.get_json(&path).await?, kind)?, name) };
        match self.repeat_if(is_temporary_on_read, requested).await {
            Err(error) if status(&error) == Some(404) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Returns the JSON object at a path.
    pub(crate) async fn mapping(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        self.repeat_if(is_temporary_on_read, || async {
            mapping(self.get_json(&path).await?)
        })
        .await
    }

    /// Returns what a registry has under a name: its digest and platforms.
    pub(crate) async fn distribution(
        &self,
        repository: &str,
        tag: &str,
        auth: Option<&str>,
    ) -> Result<Json, EngineError> {
        let path = self.path(&format!("/distribution/{repository}:{tag}/json"), &[]);
        self.repeat_if(is_temporary_on_read, || async {
            let head = http::Request::builder().method(Method::GET).uri(&path);
            let head = auth
                .iter()
                .fold(head, |head, auth| head.header("X-Registry-Auth", *auth));
            let request = head.body(body(Bytes::new())).map_err(EngineError::lost)?;
            let sent = send_for_json(&self.wire, request);
            mapping(self.with_response_timeout(sent).await?.1)
        })
        .await
    }

    /// Like [`mapping`](Self::mapping), but also accepts null, which Podman sends for an empty
    /// result.
    pub(crate) async fn mapping_or_null(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        let requested = async || match self.get_json(&path).await? {
            Json::Null => Ok(Json::Null),
            other => mapping(other),
        };
        self.repeat_if(is_temporary_on_read, requested).await
    }

    async fn get_json(&self, path: &str) -> Result<Json, EngineError> {
        self.with_response_timeout(request_json(&self.wire, Method::GET, path, None))
            .await
            .map_err(EngineError::about_object)
    }

    /// Sends a JSON body unchanged.
    pub(crate) async fn post(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        self.repeat(|| {
            self.with_response_timeout(request_json(&self.wire, Method::POST, &path, Some(body)))
        })
        .await
    }

    /// Creates an object and returns the ID that the engine assigned.
    pub(crate) async fn create(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
    ) -> Result<String, EngineError> {
        let made = self.create_with_warnings(path, query, body).await;
        made.map(|(id, _)| id)
    }

    /// Like [`create`](Self::create), with the engine's warnings.
    pub(crate) async fn create_with_warnings(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
    ) -> Result<(String, Vec<String>), EngineError> {
        let missing =
            |_| EngineError::Unexpected("missing the ID of the created object".to_owned());
        let made = object(self.post(path, query, body).await?, Kind::Container).map_err(missing)?;
        let warnings = made["Warnings"].as_array().into_iter().flatten();
        let warnings = warnings.filter_map(|warning| warning.as_str().map(str::to_owned));
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        Ok((id, warnings.collect()))
    }

    /// Sends a JSON body and checks that the engine confirms success.
    pub(crate) async fn post_and_confirm(
        &self,
        path: &str,
        body: &Json,
    ) -> Result<(), EngineError> {
        confirm_success(self.post(path, &[], body).await?)
    }

    /// Sends a request without a body and checks that the engine confirms success.
    pub(crate) async fn send(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(), EngineError> {
        self.send_with_extra_time(path, query, 0).await
    }

    /// Like [`send`](Self::send), for a call that may take `seconds` longer than others.
    pub(crate) async fn send_with_extra_time(
        &self,
        path: &str,
        query: &[(&str, String)],
        seconds: u64,
    ) -> Result<(), EngineError> {
        let path = self.path(path, query);
        let limit = Duration::from_secs(self.response_timeout.saturating_add(seconds));
        confirm_success(
            self.repeat(|| {
                with_timeout(limit, request_json(&self.wire, Method::POST, &path, None))
            })
            .await?,
        )
    }

    /// Like [`send`](Self::send), but never repeats the call: it must not reach the engine twice.
    pub(crate) async fn send_once(&self, path: &str) -> Result<(), EngineError> {
        confirm_success(
            self.with_response_timeout(request_json(
                &self.wire,
                Method::POST,
                &self.path(path, &[]),
                None,
            ))
            .await?,
        )
    }

    /// Removes an object.
    pub(crate) async fn delete(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(), EngineError> {
        let path = self.path(path, query);
        let removed = self.repeat(|| {
            self.with_response_timeout(request_json(&self.wire, Method::DELETE, &path, None))
        });
        confirm_success(removed.await.map_err(EngineError::about_object)?)
    }

    /// Streams a long response of JSON documents, one per line. A line with an `error` field is an
    /// error, regardless of the HTTP status. `auth` contains registry credentials. The total time
    /// is unlimited, but the engine must send data, or read from the body, within the time limit of
    /// an ordinary response.
    pub(crate) fn lines<'s>(
        &'s self,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, EngineError>> + use<'s> {
        self.lines_with_idle_timeout(
            Duration::from_secs(self.response_timeout),
            path,
            query,
            auth,
            body,
        )
    }

    /// Like [`lines`](Self::lines), with another limit for the time without activity.
    pub(crate) fn lines_with_idle_timeout<'s>(
        &'s self,
        limit: Duration,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, EngineError>> + use<'s> {
        let head = http::Request::builder()
            .method(Method::POST)
            .uri(self.path(path, query))
            .header("Content-Type", "application/x-tar");
        let head = auth
            .iter()
            .fold(head, |head, auth| head.header("X-Registry-Auth", *auth));
        let activity = Activity::now();
        let sent_activity = activity.clone();
        let body = body.map_or_else(
            || self::body(Bytes::new()),
            |body| streamed_body(body.inspect(move |_| sent_activity.record())),
        );
        let sent = async move {
            let request = head.body(body).map_err(EngineError::lost)?;
            let response =
                expect_success(activity.within(limit, self.wire.send(request)).await?).await?;
            Ok(with_idle_timeout(
                limit,
                documents(body_stream(response.into_body())),
            ))
        };
        sent.try_flatten_stream()
    }

    /// Streams container events since a time on the engine's clock, until the connection is lost.
    /// `filters` is in the engine's format. The first item is null: the engine has accepted the
    /// subscription.
    pub(crate) fn events(
        &self,
        since: u64,
        filters: &Json,
    ) -> impl Stream<Item = Result<Json, EngineError>> + use<> {
        let query = [
            ("since", (since / 1000).to_string()),
            ("filters", filters.to_string()),
        ];
        let (wire, path) = (self.wire.clone(), self.path("/events", &query));
        let sent = async move {
            let response = expect_success(
                wire.send(request(Method::GET, &path, Bytes::new())?)
                    .await?,
            )
            .await?;
            Ok(
                futures_util::stream::once(std::future::ready(Ok(Json::Null)))
                    .chain(documents(body_stream(response.into_body()))),
            )
        };
        sent.try_flatten_stream()
    }

    /// Streams the log of a container. Fails after the time limit of an ordinary response without
    /// data. With `follows`, also streams new output, without a time limit.
    pub(crate) fn logs(
        &self,
        id: &str,
        query: &[(&str, String)],
        (is_raw, follows): (bool, bool),
    ) -> impl Stream<Item = Result<LogChunk, EngineError>> + Send + use<> {
        let query: Vec<_> = [("stdout", "1".to_owned()), ("stderr", "1".to_owned())]
            .into_iter()
            .chain(query.iter().cloned())
            .collect();
        let follow = follows.then(|| ("follow", "1".to_owned()));
        let query: Vec<_> = query.into_iter().chain(follow).collect();
        let (wire, path) = (
            self.wire.clone(),
            self.path(&format!("/containers/{id}/logs"), &query),
        );
        let limit = Duration::from_secs(self.response_timeout);
        let sent = async move {
            let response = with_timeout(limit, async {
                expect_success(
                    wire.send(request(Method::GET, &path, Bytes::new())?)
                        .await?,
                )
                .await
            });
            let all = pieces(body_stream(response.await?.into_body()), is_raw);
            Ok(if follows {
                all.left_stream()
            } else {
                with_idle_timeout(limit, all).right_stream()
            })
        };
        sent.try_flatten_stream()
    }

    /// Starts an exec instance and attaches to its output and input.
    pub(crate) async fn attach(
        &self,
        exec: &str,
        terminal: bool,
    ) -> Result<Attachment, EngineError> {
        let content = serde_json::json!({ "Detach": false, "Tty": terminal }).to_string();
        let mut request = request(
            Method::POST,
            &self.path(&format!("/exec/{exec}/start"), &[]),
            content.into(),
        )?;
        request.headers_mut().insert(
            header::CONNECTION,
            header::HeaderValue::from_static("Upgrade"),
        );
        request
            .headers_mut()
            .insert(header::UPGRADE, header::HeaderValue::from_static("tcp"));
        let response = self.with_response_timeout(self.wire.send(request)).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = expect_success(response).await?;
            return Ok((
                Box::pin(pieces(body_stream(response.into_body()), terminal)),
                Box::pin(tokio::io::sink()),
            ));
        }
        let upgraded = self
            .with_response_timeout(hyper::upgrade::on(response).map_err(EngineError::lost))
            .await?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        let output = ReaderStream::with_capacity(output, READ_SIZE).map_err(EngineError::lost);
        Ok((Box::pin(pieces(output, terminal)), Box::pin(input)))
    }

    /// Waits until a container does not run. Returns true if the engine confirmed it.
    pub(crate) async fn wait_for_exit(&self, id: &str) -> bool {
        let path = self.path(
            &format!("/containers/{id}/wait"),
            &[("condition", "not-running".to_owned())],
        );
        request_json(&self.wire, Method::POST, &path, None)
            .await
            .is_ok()
    }

    fn path(&self, path: &str, query: &[(&str, String)]) -> String {
        let pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_query(value)))
            .collect();
        let query = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };
        format!("/v{}{path}{query}", self.version)
    }

    async fn with_response_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        with_timeout(Duration::from_secs(self.response_timeout), call).await
    }

    /// Repeats a call that was lost or failed temporarily. Only for calls that may reach the engine
    /// twice.
    async fn repeat<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T, EngineError> {
        self.repeat_if(is_temporary, call).await
    }

    async fn repeat_if<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        is_temporary: fn(&EngineError) -> bool,
        call: impl FnMut() -> F,
    ) -> Result<T, EngineError> {
        call.retry(retry_delays())
            .when(is_temporary)
            .notify(|error, delay| tracing::warn!(%error, ?delay, "repeating an engine call"))
            .await
    }
}

/// Output and input of a command.
pub(crate) type Attachment = (
    Pin<Box<dyn Stream<Item = Result<LogChunk, EngineError>> + Send>>,
    Pin<Box<dyn AsyncWrite + Send>>,
);

async fn with_timeout<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    timeout(limit, call)
        .await
        .unwrap_or(Err(EngineError::TimedOut))
}

fn request(method: Method, path: &str, content: Bytes) -> Result<Request<Body>, EngineError> {
    let head = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    head.body(body(content)).map_err(EngineError::lost)
}

/// Returns the pauses between attempts of one call: four pauses, about two seconds in total.
pub(crate) fn retry_delays() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_times(4)
        .with_jitter()
}

/// Ends a stream with an error after `patience` without data.
fn with_idle_timeout<T>(
    limit: Duration,
    stream: impl Stream<Item = Result<T, EngineError>> + Send,
) -> impl Stream<Item = Result<T, EngineError>> + Send {
    futures_util::stream::unfold(Some(Box::pin(stream)), move |stream| async move {
        let mut stream = stream?;
        match timeout(limit, stream.next()).await {
            Ok(next) => next.map(|item| (item, Some(stream))),
            Err(_) => Some((Err(EngineError::TimedOut), None)),
        }
    })
}

/// Returns how far the engine's clock is ahead of this machine's, in milliseconds. The engine
/// reported `date`, in whole seconds, between the local times `asked` and `answered`.
fn skew(date: i64, requested: u64, answered: u64) -> i64 {
    let here = i64::try_from(requested.midpoint(answered)).unwrap_or(i64::MAX);
    let ahead = date
        .saturating_mul(1000)
        .saturating_add(500)
        .saturating_sub(here);
    if ahead.abs() < CLOCK_TOLERANCE {
        0
    } else {
        ahead
    }
}

/// Explains why the first response is not usable. Does not quote servers that are not engines.
fn explain_first_response(error: &EngineError) -> String {
    match error {
        EngineError::Refused { message, .. } if KnownMessage::TlsRequired.is_in(message) => {
            "the engine requires TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem".to_owned()
        }
        EngineError::Refused { status, .. } => format!("the server at this address is not a Docker engine (HTTP {status})"),
        EngineError::Malformed(_) | EngineError::Unexpected(_) | EngineError::Reported(_) => {
            "the server at this address is not a Docker engine".to_owned()
        }
        other => match root_cause(other) {
            reason if KnownMessage::NotTls.is_in(&reason) => format!("the engine does not use TLS ({reason})"),
            reason => reason,
        },
    }
}

/// Returns the major version of Podman, or `None` if the engine is another one.
fn podman_version(engine: &Json) -> Option<u32> {
    let mut parts = engine["Components"].as_array().into_iter().flatten();
    let podman = parts.find(|part| {
        let name = part["Name"].as_str();
        name.is_some_and(|name| name.starts_with("Podman"))
    })?;
    let major = podman["Version"]
        .as_str()
        .and_then(|it| it.split('.').next());
    Some(major.and_then(|major| major.parse().ok()).unwrap_or(0))
}

/// Returns the API versions of an engine. A server that reports no version is not an engine.
fn supported_versions(engine: &Json, host: &Host) -> Result<Supported, ConnectError> {
    if !engine["ApiVersion"].is_string() {
        let reason = explain_first_response(&EngineError::Unexpected(String::new()));
        return Err(ConnectError::Unreachable {
            host: host.clone(),
            reason,
        });
    }
    let [newest, oldest] = ["ApiVersion", "MinAPIVersion"]
        .map(|field| engine[field].as_str().and_then(Version::parse));
    Ok(Supported {
        oldest: oldest.unwrap_or(OLDEST),
        newest: newest.unwrap_or(NEWEST),
    })
}

fn negotiate(supported: Supported, host: &Host) -> Result<Version, ConnectError> {
    let too_old = || ConnectError::Version {
        host: host.clone(),
        supported: supported.to_string(),
    };
    supported.choose(host.version).ok_or_else(too_old)
}

fn version_warning(supported: Supported, host: &Host) -> Option<String> {
    supported.are_unchecked().then(|| {
        format!(
            "the engine at {host} supports API versions {supported}, but dockctl was only checked up to {NEWEST}; it uses {}: check for a newer dockctl",
            supported.oldest
        )
    })
}

async fn request_json(
    wire: &Transport,
    method: Method,
    path: &str,
    content: Option<&Json>,
) -> Result<Json, EngineError> {
    request_with_date(wire, method, path, content)
        .await
        .map(|(_, json)| json)
}

/// Sends a request and returns the response with its date: seconds since 1970 UTC on the engine's
/// clock.
async fn request_with_date(
    wire: &Transport,
    method: Method,
    path: &str,
    content: Option<&Json>,
) -> Result<(Option<i64>, Json), EngineError> {
    let content = content
        .map(|content| Bytes::from(content.to_string()))
        .unwrap_or_default();
    send_for_json(wire, request(method, path, content)?).await
}

async fn send_for_json(
    wire: &Transport,
    request: Request<Body>,
) -> Result<(Option<i64>, Json), EngineError> {
    let response = expect_success(wire.send(request).await?).await?;
    // Podman sends `OK` where Docker sends nothing.
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let date = response
        .headers()
        .get(header::DATE)
        .and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    let date = date.map(|date| date.timestamp().as_second());
    let (bytes, is_whole) = read_at_most(MAX_RESPONSE, response.into_body()).await?;
    if !is_whole {
        return Err(EngineError::Unexpected(format!(
            "larger than {} MiB",
            MAX_RESPONSE >> 20
        )));
    }
    let text = bytes.trim_ascii();
    if text.is_empty() || !is_json {
        return Ok((date, Json::Null));
    }
    if has_too_many_values(text) {
        return Err(EngineError::Unexpected(format!(
            "more than {MAX_VALUES} values"
        )));
    }
    let json = serde_json::from_slice(text)
        .map_err(|error| EngineError::Malformed(format!("not valid JSON ({error})")))?;
    Ok((date, json))
}

/// Accepts a response that reports success, or that there was nothing to do.
async fn expect_success(response: Response<Incoming>) -> Result<Response<Incoming>, EngineError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let (bytes, _) = read_at_most(MAX_ERROR_BODY, response.into_body()).await?;
    let answer: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = answer["message"].as_str().map_or_else(
        || String::from_utf8_lossy(&bytes).into_owned(),
        str::to_owned,
    );
    // An object may exist even if the engine does not know the path of the request.
    if status == StatusCode::NOT_FOUND && message.trim() == "page not found" {
        return Err(EngineError::Unexpected(
            "the engine does not support this request".to_owned(),
        ));
    }
    Err(EngineError::Refused {
        status: status.as_u16(),
        message,
        cause: answer["cause"].as_str().map(str::to_owned),
    })
}

/// Returns true if JSON contains too many values to parse. Counts delimiters, including those in
/// strings.
fn has_too_many_values(text: &[u8]) -> bool {
    let (mut values, mut mappings) = (0, 0);
    for byte in text {
        values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        mappings += usize::from(*byte == b'{');
    }
    values > MAX_VALUES || mappings > MAX_OBJECTS
}

/// Reads at most `most` bytes of a body. Returns true if that is the whole body.
async fn read_at_most(most: usize, body: Incoming) -> Result<(Vec<u8>, bool), EngineError> {
    let mut bytes = Vec::new();
    let mut data = body_stream(body);
    while let Some(part) = data.next().await {
        let part = part?;
        let room = most - bytes.len();
        bytes.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

/// Streams the bytes of a body.
fn body_stream(body: Incoming) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + Unpin {
    body.into_data_stream().map_err(EngineError::lost)
}

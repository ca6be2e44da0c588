//! The connection to one engine: found once, its API version negotiated once.
//!
//! Paths get the negotiated version, connections are kept, calls that were lost on the way are
//! repeated, and no answer is larger than it may be. Answers are JSON as it came: types of a
//! library would drop what they do not know.

use crate::{
    engine::{
        Kind, Says,
        answer::{asked_for, done, list, list_path, mapping, object, object_path},
        encode::in_query,
        error::{EngineError, innermost, is_passing, is_passing_when_read, status},
        host::{ConnectError, Host},
        in_path,
        stream::{documents, pieces},
        version::{NEWEST, OLDEST, Version},
        wire::{Body, Wire, body, streamed},
    },
    event::now,
    printable::shortened,
    seam::Piece,
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

/// Longest wait for the first answer.
const FIRST_CONTACT: Duration = Duration::from_millis(2500);
/// The same over ssh, which has to log in first.
const FIRST_CONTACT_SSH: Duration = Duration::from_secs(15);
/// Longest wait for an ordinary answer where nothing is said, in seconds; the default of
/// `--engine-timeout`.
pub(crate) const ANSWER: u64 = 120;
/// The engine's clock counts as this machine's if they differ by less, in milliseconds: it tells
/// whole seconds.
const SAME_CLOCK: i64 = 2000;

/// Longest reason that is told, in characters.
const REASON: usize = 500;
/// Largest answer, in bytes.
const SIZE: usize = 64 << 20;
/// Values and mappings in the largest answer. Each takes far more memory than it has bytes.
const VALUES: usize = 4 << 20;
const MAPPINGS: usize = 1 << 20;
/// How much of a refusal is read, in bytes.
const REFUSAL: usize = 8 << 20;
/// How much of a stream is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// A body that is made while it is sent.
pub(crate) type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A connection to one engine.
pub(crate) struct Client {
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
    async fn within<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let end = self.last() + patience;
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep_until(end) => if self.last() + patience <= end { return Err(EngineError::Silent) },
            }
        }
    }
}

impl Client {
    /// Connects and negotiates. Takes at most three seconds.
    pub(crate) async fn connect(host: &Host) -> Result<Self, ConnectError> {
        let wire = Arc::new(Wire::open(host)?);
        let silent = |reason: String| {
            let reason = shortened(&wire.complaint().unwrap_or(reason), REASON);
            ConnectError::Silent {
                host: host.clone(),
                reason,
            }
        };
        let patience = if host.address.starts_with("ssh:") {
            FIRST_CONTACT_SSH
        } else {
            FIRST_CONTACT
        };
        let asked = now();
        let answer = timeout(patience, exchange(&wire, Method::GET, "/version", None)).await;
        let (date, engine) = match answer {
            Ok(answer) => answer.map_err(|error| silent(first_answer(&error)))?,
            Err(_) => {
                return Err(silent(format!(
                    "no answer within {} seconds",
                    patience.as_secs_f32()
                )));
            }
        };
        let skew = date.map_or(0, |date| skew(date, asked, now()));
        let version = negotiate(&engine, host)?;
        tracing::info!(%host, %version, "connected");
        let answer = host.timeout.unwrap_or(ANSWER);
        Ok(Self {
            wire,
            version,
            answer,
            host: host.machine(),
            is_podman: is_podman(&engine),
            skew,
        })
    }

    /// The version that both sides speak.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What the engine's clock shows when this machine's shows `at`; both in milliseconds since
    /// 1970 UTC.
    pub(crate) fn on_its_clock(&self, at: u64) -> u64 {
        at.saturating_add_signed(self.skew)
    }

    /// What the engine's clock shows, in milliseconds since 1970 UTC.
    pub(crate) fn now(&self) -> u64 {
        self.on_its_clock(now())
    }

    /// How far apart two times of its clock may be and still be the same, in milliseconds.
    pub(crate) fn tolerance(&self) -> u64 {
        if self.skew == 0 {
            0
        } else {
            SAME_CLOCK.unsigned_abs()
        }
    }

    /// Whether a connection to the engine was lost since this was last asked.
    pub(crate) fn was_cut(&self) -> bool {
        self.wire.was_cut()
    }

    /// Whether the engine is Podman, which differs here and there.
    pub(crate) fn is_podman(&self) -> bool {
        self.is_podman
    }

    /// Asks Podman to run a container's health check: it leaves that to a service manager, which
    /// may not be there.
    pub(crate) async fn run_podman_check(&self, id: &str) {
        let path = format!("/v4.0.0/libpod/containers/{id}/healthcheck");
        // What comes of it shows in the container.
        let _ = self
            .answered(ask(&self.wire, Method::GET, &path, None))
            .await;
    }

    /// The machine that the engine is on; none if it is this one.
    pub(crate) fn host(&self) -> Option<String> {
        self.host.clone()
    }

    /// The objects of a kind.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        query: &[(&str, String)],
    ) -> Result<Vec<Json>, EngineError> {
        let path = self.path(list_path(kind), query);
        self.repeat_if(is_passing_when_read, || async {
            list(self.asked(&path).await?, kind)
        })
        .await
    }

    /// The object of a name, or with an id; none if there is none.
    pub(crate) async fn object(&self, kind: Kind, name: &str) -> Result<Option<Json>, EngineError> {
        let path = self.path(&object_path(kind, &in_path(name)), &[]);
        let asked = || async { asked_for(object(self.asked(&path).await?, kind)?, name) };
        match self.repeat_if(is_passing_when_read, asked).await {
            Err(error) if status(&error) == Some(404) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Asks for a mapping.
    pub(crate) async fn mapping(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        self.repeat_if(is_passing_when_read, || async {
            mapping(self.asked(&path).await?)
        })
        .await
    }

    /// As [`mapping`](Self::mapping), where null says that there is nothing: Podman does so.
    pub(crate) async fn mapping_or_null(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        let asked = async || match self.asked(&path).await? {
            Json::Null => Ok(Json::Null),
            other => mapping(other),
        };
        self.repeat_if(is_passing_when_read, asked).await
    }

    async fn asked(&self, path: &str) -> Result<Json, EngineError> {
        self.answered(ask(&self.wire, Method::GET, path, None))
            .await
    }

    /// Sends JSON as it is.
    pub(crate) async fn post(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
    ) -> Result<Json, EngineError> {
        let path = self.path(path, query);
        self.repeat(|| self.answered(ask(&self.wire, Method::POST, &path, Some(body))))
            .await
    }

    /// Creates something that the engine gives an id.
    pub(crate) async fn create(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Json,
    ) -> Result<String, EngineError> {
        let made = object(self.post(path, query, body).await?, Kind::Container);
        Ok(made
            .map_err(|_| EngineError::Nonsense("it lacks the id of what was created".to_owned()))?
            ["Id"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Sends JSON with which something is to be done.
    pub(crate) async fn post_to_do(&self, path: &str, body: &Json) -> Result<(), EngineError> {
        done(self.post(path, &[], body).await?)
    }

    /// Sends a request without a body, with which something is to be done.
    pub(crate) async fn send(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(), EngineError> {
        self.send_patiently(path, query, 0).await
    }

    /// As [`send`](Self::send), for what may take `seconds` longer than other calls.
    pub(crate) async fn send_patiently(
        &self,
        path: &str,
        query: &[(&str, String)],
        seconds: u64,
    ) -> Result<(), EngineError> {
        let path = self.path(path, query);
        let patience = Duration::from_secs(self.answer.saturating_add(seconds));
        done(
            self.repeat(|| within(patience, ask(&self.wire, Method::POST, &path, None)))
                .await?,
        )
    }

    /// As [`send`](Self::send), once: for what must not reach the engine twice.
    pub(crate) async fn send_once(&self, path: &str) -> Result<(), EngineError> {
        done(
            self.answered(ask(&self.wire, Method::POST, &self.path(path, &[]), None))
                .await?,
        )
    }

    /// Asks for something to be removed.
    pub(crate) async fn delete(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(), EngineError> {
        let path = self.path(path, query);
        done(
            self.repeat(|| self.answered(ask(&self.wire, Method::DELETE, &path, None)))
                .await?,
        )
    }

    /// The JSON documents of an answer that goes on for a while, one a line. A line that holds an
    /// error is one, whatever the status was. `auth` says to a registry who asks. There is no limit
    /// to how long it takes, but something has to be heard, or taken of the body, within the time
    /// of an ordinary answer.
    pub(crate) fn lines<'s>(
        &'s self,
        path: &str,
        query: &[(&str, String)],
        auth: Option<&str>,
        body: Option<Upload>,
    ) -> impl Stream<Item = Result<Json, EngineError>> + use<'s> {
        self.lines_within(Duration::from_secs(self.answer), path, query, auth, body)
    }

    /// As [`lines`](Self::lines), with another time for the longest silence.
    pub(crate) fn lines_within<'s>(
        &'s self,
        patience: Duration,
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
        let activity = Heard::now();
        let sent_now = activity.clone();
        let body = body.map_or_else(
            || self::body(Bytes::new()),
            |body| streamed(body.inspect(move |_| sent_now.again())),
        );
        let sent = async move {
            let request = head.body(body).map_err(EngineError::lost)?;
            let response =
                accepted(activity.within(patience, self.wire.send(request)).await?).await?;
            Ok(in_time(patience, documents(data(response.into_body()))))
        };
        sent.try_flatten_stream()
    }

    /// What happens to containers from a moment of the engine's clock on, for as long as the
    /// connection holds; filters as the engine takes them. The first item is null, and says that
    /// the engine listens.
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
            let response = accepted(
                wire.send(request(Method::GET, &path, Bytes::new())?)
                    .await?,
            )
            .await?;
            Ok(
                futures_util::stream::once(std::future::ready(Ok(Json::Null)))
                    .chain(documents(data(response.into_body()))),
            )
        };
        sent.try_flatten_stream()
    }

    /// What a container wrote, which ends if nothing comes for the time of an ordinary answer; with
    /// `follows` what it writes from now on, too, for as long as that takes.
    pub(crate) fn logs(
        &self,
        id: &str,
        query: &[(&str, String)],
        (is_raw, follows): (bool, bool),
    ) -> impl Stream<Item = Result<Piece, EngineError>> + Send + use<> {
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
        let patience = Duration::from_secs(self.answer);
        let sent = async move {
            let response = within(patience, async {
                accepted(
                    wire.send(request(Method::GET, &path, Bytes::new())?)
                        .await?,
                )
                .await
            });
            let all = pieces(data(response.await?.into_body()), is_raw);
            Ok(if follows {
                all.left_stream()
            } else {
                in_time(patience, all).right_stream()
            })
        };
        sent.try_flatten_stream()
    }

    /// Starts a command that was created, and attaches to it: what it writes, and where it reads.
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
        let response = self.answered(self.wire.send(request)).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = accepted(response).await?;
            return Ok((
                Box::pin(pieces(data(response.into_body()), terminal)),
                Box::pin(tokio::io::sink()),
            ));
        }
        let upgraded = self
            .answered(hyper::upgrade::on(response).map_err(EngineError::lost))
            .await?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        let output = ReaderStream::with_capacity(output, PIECE).map_err(EngineError::lost);
        Ok((Box::pin(pieces(output, terminal)), Box::pin(input)))
    }

    /// Waits until a container does not run; whether the engine said so.
    pub(crate) async fn ended(&self, id: &str) -> bool {
        let path = self.path(
            &format!("/containers/{id}/wait"),
            &[("condition", "not-running".to_owned())],
        );
        ask(&self.wire, Method::POST, &path, None).await.is_ok()
    }

    /// The platform of the engine, as `os/architecture`.
    pub(crate) async fn platform(&self) -> Result<String, EngineError> {
        let version = self.mapping("/version", &[]).await?;
        let text = |field: &str| version[field].as_str().unwrap_or_default().to_owned();
        Ok(format!("{}/{}", text("Os"), text("Arch")))
    }

    fn path(&self, path: &str, query: &[(&str, String)]) -> String {
        let pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", in_query(value)))
            .collect();
        let query = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };
        format!("/v{}{path}{query}", self.version)
    }

    async fn answered<T>(
        &self,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        within(Duration::from_secs(self.answer), call).await
    }

    /// Repeats a call that was lost on the way or met an engine in transition. Only for calls that
    /// may reach the engine twice.
    async fn repeat<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T, EngineError> {
        self.repeat_if(is_passing, call).await
    }

    async fn repeat_if<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        passes: fn(&EngineError) -> bool,
        call: impl FnMut() -> F,
    ) -> Result<T, EngineError> {
        call.retry(pauses())
            .when(passes)
            .notify(|error, delay| tracing::warn!(%error, ?delay, "asking the engine again"))
            .await
    }
}

/// What a command writes, and where it reads.
pub(crate) type Attachment = (
    Pin<Box<dyn Stream<Item = Result<Piece, EngineError>> + Send>>,
    Pin<Box<dyn AsyncWrite + Send>>,
);

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    timeout(patience, call)
        .await
        .unwrap_or(Err(EngineError::Silent))
}

fn request(method: Method, path: &str, content: Bytes) -> Result<Request<Body>, EngineError> {
    let head = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    head.body(body(content)).map_err(EngineError::lost)
}

/// Pauses between the tries of one call: four, together about two seconds.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_times(4)
        .with_jitter()
}

/// Ends a stream that says nothing for too long.
fn in_time<T>(
    patience: Duration,
    stream: impl Stream<Item = Result<T, EngineError>> + Send,
) -> impl Stream<Item = Result<T, EngineError>> + Send {
    futures_util::stream::unfold(Some(Box::pin(stream)), move |stream| async move {
        let mut stream = stream?;
        match timeout(patience, stream.next()).await {
            Ok(next) => next.map(|item| (item, Some(stream))),
            Err(_) => Some((Err(EngineError::Silent), None)),
        }
    })
}

/// How far a clock is ahead that showed `date`, a whole second, between two moments of this
/// machine's.
fn skew(date: i64, asked: u64, answered: u64) -> i64 {
    let here = i64::try_from(asked.midpoint(answered)).unwrap_or(i64::MAX);
    let ahead = date
        .saturating_mul(1000)
        .saturating_add(500)
        .saturating_sub(here);
    if ahead.abs() < SAME_CLOCK { 0 } else { ahead }
}

/// Why the first answer is none. What something else than an engine says is nobody's concern.
fn first_answer(error: &EngineError) -> String {
    match error {
        EngineError::Refused { message, .. } if Says::WantsTls.is_in(message) => {
            "it speaks TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem".to_owned()
        }
        EngineError::Refused { status, .. } => format!("something answers there, but it is not a Docker engine (HTTP {status})"),
        EngineError::Garbled(_) | EngineError::Nonsense(_) | EngineError::Said(_) => {
            "something answers there, but it is not a Docker engine".to_owned()
        }
        other => match innermost(other) {
            reason if Says::NotTls.is_in(&reason) => format!("it does not speak TLS ({reason})"),
            reason => reason,
        },
    }
}

fn is_podman(engine: &Json) -> bool {
    engine["Components"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|part| {
            part["Name"]
                .as_str()
                .is_some_and(|name| name.starts_with("Podman"))
        })
}

/// The newest version that both sides speak. What names none is no engine.
fn negotiate(engine: &Json, host: &Host) -> Result<Version, ConnectError> {
    if !engine["ApiVersion"].is_string() {
        let reason = first_answer(&EngineError::Nonsense(String::new()));
        return Err(ConnectError::Silent {
            host: host.clone(),
            reason,
        });
    }
    let [newest, oldest] = ["ApiVersion", "MinAPIVersion"]
        .map(|field| engine[field].as_str().and_then(Version::parse));
    let spoken = format!(
        "{} to {}",
        oldest.unwrap_or(OLDEST),
        newest.unwrap_or(NEWEST)
    );
    let version = newest.unwrap_or(NEWEST).min(NEWEST);
    if version < oldest.unwrap_or(OLDEST).max(OLDEST) {
        return Err(ConnectError::Version {
            host: host.clone(),
            spoken,
        });
    }
    // A version that is asked for is a wish: blueprints name what was current when they were
    // written.
    Ok(host
        .version
        .filter(|wish| *wish <= version && *wish >= oldest.unwrap_or(OLDEST).max(OLDEST))
        .unwrap_or(version))
}

async fn ask(
    wire: &Wire,
    method: Method,
    path: &str,
    content: Option<&Json>,
) -> Result<Json, EngineError> {
    exchange(wire, method, path, content)
        .await
        .map(|(_, json)| json)
}

/// Asks, and gives the answer with its time: seconds since 1970 UTC, as the engine's clock shows
/// them.
async fn exchange(
    wire: &Wire,
    method: Method,
    path: &str,
    content: Option<&Json>,
) -> Result<(Option<i64>, Json), EngineError> {
    let content = content
        .map(|content| Bytes::from(content.to_string()))
        .unwrap_or_default();
    let response = accepted(wire.send(request(method, path, content)?).await?).await?;
    // Podman says `OK` where Docker says nothing.
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let date = response
        .headers()
        .get(header::DATE)
        .and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    let date = date.map(|date| date.timestamp().as_second());
    let (bytes, is_whole) = at_most(SIZE, response.into_body()).await?;
    if !is_whole {
        return Err(EngineError::Nonsense(format!(
            "it is larger than {} MiB",
            SIZE >> 20
        )));
    }
    let text = bytes.trim_ascii();
    if text.is_empty() || !is_json {
        return Ok((date, Json::Null));
    }
    if is_too_much(text) {
        return Err(EngineError::Nonsense(format!(
            "it holds more than {VALUES} values"
        )));
    }
    let json = serde_json::from_slice(text)
        .map_err(|error| EngineError::Garbled(format!("it is not JSON ({error})")))?;
    Ok((date, json))
}

/// An answer that is a success, or says that there was nothing to do.
async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, EngineError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let (bytes, _) = at_most(REFUSAL, response.into_body()).await?;
    let answer: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = answer["message"].as_str().map_or_else(
        || String::from_utf8_lossy(&bytes).into_owned(),
        str::to_owned,
    );
    // What it does not know how to look for may be there all the same.
    if status == StatusCode::NOT_FOUND && message.trim() == "page not found" {
        return Err(EngineError::Nonsense(
            "it does not know what was asked for".to_owned(),
        ));
    }
    Err(EngineError::Refused {
        status: status.as_u16(),
        message,
    })
}

/// Whether JSON holds too many values to be read; what looks like their marks in texts counts, too.
fn is_too_much(text: &[u8]) -> bool {
    let (mut values, mut mappings) = (0, 0);
    for byte in text {
        values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        mappings += usize::from(*byte == b'{');
    }
    values > VALUES || mappings > MAPPINGS
}

/// The beginning of a body, and whether that is all of it.
async fn at_most(most: usize, body: Incoming) -> Result<(Vec<u8>, bool), EngineError> {
    let mut bytes = Vec::new();
    let mut data = data(body);
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

/// The bytes of a body as they come.
fn data(body: Incoming) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + Unpin {
    body.into_data_stream().map_err(EngineError::lost)
}

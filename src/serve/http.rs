//! HTTP/1.1 on any socket: reads bodies with a limit and without waiting forever, and lets running
//! requests finish when the daemon stops.

use super::listener::{Accepted, Listener};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{cell::Cell, convert::Infallible, pin::Pin, rc::Rc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Largest body of a request, in bytes.
pub(crate) const MAX_BODY: usize = 8 << 20;
/// Longest wait for the next header or for the next part of a body.
const IDLE: Duration = Duration::from_secs(30);
/// Longest time for a handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Most open connections; others wait.
const MAX_CONNECTIONS: usize = 512;

/// The body of a response.
pub(crate) type ResponseBody = BoxBody<Bytes, Infallible>;

/// A request with its whole body.
pub(crate) struct HttpRequest {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    /// The body; none if it is too large.
    pub body: Option<Bytes>,
}

/// Answers requests.
pub(crate) trait Service {
    /// Answers a request. The answer is completed even if the client is gone.
    fn answer(
        self: Rc<Self>,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>>>>;
}

/// The service, with the requests that run.
struct Context<S> {
    service: Rc<S>,
    requests: TaskTracker,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            requests: self.requests.clone(),
        }
    }
}

/// Serves connections until `stop` is cancelled, then lets running requests finish.
pub(crate) async fn serve<S: Service + 'static>(
    listener: &Listener,
    service: &Rc<S>,
    stop: &CancellationToken,
) {
    let (mut connections, requests) = (JoinSet::new(), TaskTracker::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(accepted) => {
                    let context = Context { service: service.clone(), requests: requests.clone() };
                    connections.spawn_local(serve_connection(accepted, context, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
    requests.close();
    requests.wait().await;
}

async fn serve_connection<S: Service + 'static>(
    accepted: Accepted,
    context: Context<S>,
    stop: CancellationToken,
) {
    let opened = tokio::select! {
        opened = timeout(HANDSHAKE, accepted.open()) => opened,
        () = stop.cancelled() => return,
    };
    let stream = match opened {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%error, "a connection was refused"),
        Err(_) => return tracing::info!("a connection was refused: no handshake in time"),
    };
    let running = Rc::new(Cell::new(0));
    let counter = running.clone();
    let answer = service_fn(move |request| answer(context.clone(), counter.clone(), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), answer));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = end_of_requests(&running) => Ok(()),
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Waits until no request runs on a connection, and its last response had time to be sent. Requests
/// that are not complete are not awaited.
async fn end_of_requests(running: &Cell<usize>) {
    while running.get() > 0 {
        sleep(PAUSE).await;
    }
    sleep(2 * PAUSE).await;
}

/// Answers in a task of its own: a client that closes its connection does not stop the work.
async fn answer<S: Service + 'static>(
    context: Context<S>,
    running: Rc<Cell<usize>>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, hyper::Error> {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await? else {
        return Ok(too_slow());
    };
    let request = HttpRequest {
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body,
    };
    running.set(running.get() + 1);
    let done = context
        .requests
        .spawn_local(context.service.answer(request))
        .await;
    running.set(running.get() - 1);
    Ok(done.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "the request failed\n")))
}

/// Reads a body to its end, so that the connection stays usable, but keeps it only up to the limit.
/// Returns none if its next part does not come in time.
async fn read(mut body: Incoming) -> Result<Option<Option<Bytes>>, hyper::Error> {
    let mut kept = Some(BytesMut::new());
    loop {
        let Ok(frame) = timeout(IDLE, body.frame()).await else {
            return Ok(None);
        };
        let Some(frame) = frame.transpose()? else {
            return Ok(Some(kept.map(BytesMut::freeze)));
        };
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        kept = kept.filter(|kept| kept.len() + bytes.len() <= MAX_BODY);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(bytes);
        }
    }
}

fn too_slow() -> Response<ResponseBody> {
    let mut response = text(
        StatusCode::REQUEST_TIMEOUT,
        "the body did not come in time\n",
    );
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Returns a response with a body in memory.
pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Returns a response that is text.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    response(
        status,
        "text/plain; charset=utf-8",
        text.as_bytes().to_vec(),
    )
}

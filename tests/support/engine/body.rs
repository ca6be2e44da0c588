//! Responses of the in-memory engine.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, body::Frame, header::CONTENT_TYPE};
use serde_json::{Value as Json, json};
use std::convert::Infallible;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answered = Result<Response<Body>, Refused>;

/// An error response: status and message.
#[derive(Debug)]
pub(super) struct Refused(pub u16, pub String);

impl Refused {
    pub(super) fn missing(what: &str, name: &str) -> Self {
        Self(404, format!("No such {what}: {name}"))
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self(409, message.into())
    }

    pub(super) fn answer(&self) -> Response<Body> {
        json_of(self.0, &json!({ "message": self.1 }))
    }
}

fn with(status: u16, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    let kind = kind.parse().expect("a valid media type");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

pub(super) fn json_of(status: u16, json: &Json) -> Response<Body> {
    with(status, "application/json", full(json.to_string()))
}

pub(super) fn ok(json: &Json) -> Answered {
    Ok(json_of(200, json))
}

/// Returns an empty response with status 204.
pub(super) fn done() -> Answered {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Returns status 304: the object already is in the requested state.
pub(super) fn unchanged() -> Answered {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    Ok(response)
}

pub(super) fn text(status: u16, text: &str) -> Response<Body> {
    with(status, "text/plain; charset=utf-8", full(text.to_owned()))
}

/// Returns a response that streams its body.
pub(super) fn stream(
    status: u16,
    kind: &str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    let frames = pieces.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    with(status, kind, StreamBody::new(frames).boxed_unsync())
}

/// Returns a line with a JSON document.
pub(super) fn line(json: &Json) -> Bytes {
    format!("{json}\r\n").into()
}

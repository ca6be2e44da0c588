//! Responses of the in-memory engine.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, body::Frame, header::CONTENT_TYPE};
use serde_json::{Value as Json, json};
use std::convert::Infallible;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type HandlerResult = Result<Response<Body>, ErrorResponse>;

/// An error response: status and message.
#[derive(Debug)]
pub(super) struct ErrorResponse(pub u16, pub String);

impl ErrorResponse {
    pub(super) fn not_found(what: &str, name: &str) -> Self {
        Self(404, format!("No such {what}: {name}"))
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self(409, message.into())
    }

    pub(super) fn response(&self) -> Response<Body> {
        json_response(self.0, &json!({ "message": self.1 }))
    }
}

fn response_with(status: u16, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    let kind = kind.parse().expect("a valid media type");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

pub(super) fn json_response(status: u16, json: &Json) -> Response<Body> {
    response_with(status, "application/json", full_body(json.to_string()))
}

pub(super) fn ok(json: &Json) -> HandlerResult {
    Ok(json_response(200, json))
}

/// Returns an empty response with status 204.
pub(super) fn no_content() -> HandlerResult {
    let mut response = Response::new(full_body(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Returns status 304: the object already is in the requested state.
pub(super) fn not_modified() -> HandlerResult {
    let mut response = Response::new(full_body(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    Ok(response)
}

pub(super) fn text_response(status: u16, text: &str) -> Response<Body> {
    response_with(
        status,
        "text/plain; charset=utf-8",
        full_body(text.to_owned()),
    )
}

/// Returns a response that streams its body.
pub(super) fn stream_response(
    status: u16,
    kind: &str,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    let frames = chunks.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    response_with(status, kind, StreamBody::new(frames).boxed_unsync())
}

/// Returns a line with a JSON document.
pub(super) fn json_line(json: &Json) -> Bytes {
    format!("{json}\r\n").into()
}

//! Canned responses, which a test sets for chosen requests.

use super::response::{Body, json_response, stream_response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream as streams};
use hyper::Response;
use serde_json::Value as Json;
use std::sync::Mutex;

/// A canned response.
#[derive(Clone, Debug)]
pub(crate) enum CannedResponse {
    /// Status and JSON document.
    Json(u16, Json),
    /// Status and a chunked body that repeats the bytes the given number of times.
    Bytes(u16, Vec<u8>, usize),
    /// Response headers without a body; the connection stays open.
    NoBody,
}

/// Canned responses by method and path. The path has no API version and no query; `*` matches one
/// segment.
#[derive(Default)]
pub(super) struct CannedResponses(Mutex<Vec<(String, String, CannedResponse)>>);

impl CannedResponses {
    pub(super) fn set(&self, method: &str, path: &str, answer: CannedResponse) {
        let mut responses = self.0.lock().expect("the lock is not poisoned");
        responses.retain(|(known, of, _)| (known.as_str(), of.as_str()) != (method, path));
        responses.push((method.to_owned(), path.to_owned(), answer));
    }

    pub(super) fn clear(&self) {
        self.0.lock().expect("the lock is not poisoned").clear();
    }

    /// Returns the canned response to a request.
    pub(super) fn response(&self, method: &str, path: &[&str]) -> Option<Response<Body>> {
        let responses = self.0.lock().expect("the lock is not poisoned");
        let mut responses = responses.iter();
        let (_, _, answer) =
            responses.find(|(known, of, _)| known == method && matches_path(of, path))?;
        Some(response_of(answer.clone()))
    }
}

fn response_of(answer: CannedResponse) -> Response<Body> {
    const KIND: &str = "application/json";
    match answer {
        CannedResponse::Json(status, json) => json_response(status, &json),
        CannedResponse::Bytes(status, bytes, times) => {
            let bytes = Bytes::from(bytes);
            stream_response(
                status,
                KIND,
                streams::iter(std::iter::repeat_n(bytes, times)),
            )
        }
        CannedResponse::NoBody => stream_response(200, KIND, streams::pending::<Bytes>().boxed()),
    }
}

fn matches_path(of: &str, path: &[&str]) -> bool {
    let of: Vec<&str> = of.split('/').filter(|part| !part.is_empty()).collect();
    of.len() == path.len()
        && of
            .iter()
            .zip(path)
            .all(|(of, part)| *of == "*" || of == part)
}

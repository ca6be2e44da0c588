//! Canned responses, which a test sets for chosen requests.

use super::body::{Body, json_of, stream};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream as streams};
use hyper::Response;
use serde_json::Value as Json;
use std::sync::Mutex;

/// A canned response.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status and JSON document.
    Json(u16, Json),
    /// Status and a chunked body that repeats the bytes the given number of times.
    Bytes(u16, Vec<u8>, usize),
    /// Response headers without a body; the connection stays open.
    Silence,
}

/// Canned responses by method and path. The path has no API version and no query; `*` matches one
/// segment.
#[derive(Default)]
pub(super) struct Lies(Mutex<Vec<(String, String, Answer)>>);

impl Lies {
    pub(super) fn tell(&self, method: &str, path: &str, answer: Answer) {
        let mut lies = self.0.lock().expect("the lock is not poisoned");
        lies.retain(|(known, of, _)| (known.as_str(), of.as_str()) != (method, path));
        lies.push((method.to_owned(), path.to_owned(), answer));
    }

    pub(super) fn forget(&self) {
        self.0.lock().expect("the lock is not poisoned").clear();
    }

    /// Returns the canned response to a request.
    pub(super) fn answer(&self, method: &str, path: &[&str]) -> Option<Response<Body>> {
        let lies = self.0.lock().expect("the lock is not poisoned");
        let mut told = lies.iter();
        let (_, _, answer) = told.find(|(known, of, _)| known == method && is_at(of, path))?;
        Some(answered(answer.clone()))
    }
}

fn answered(answer: Answer) -> Response<Body> {
    const KIND: &str = "application/json";
    match answer {
        Answer::Json(status, json) => json_of(status, &json),
        Answer::Bytes(status, bytes, times) => {
            let bytes = Bytes::from(bytes);
            stream(
                status,
                KIND,
                streams::iter(std::iter::repeat_n(bytes, times)),
            )
        }
        Answer::Silence => stream(200, KIND, streams::pending::<Bytes>().boxed()),
    }
}

fn is_at(of: &str, path: &[&str]) -> bool {
    let of: Vec<&str> = of.split('/').filter(|part| !part.is_empty()).collect();
    of.len() == path.len()
        && of
            .iter()
            .zip(path)
            .all(|(of, part)| *of == "*" || of == part)
}

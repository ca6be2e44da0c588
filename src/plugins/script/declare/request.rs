//! Requests to `ctx` and their replies, as JSON.
//!
//! Over HTTP a request has only `args`, as Cloudify's client sends it. Over the socket, the package
//! of Python scripts also uses the other kinds.

use super::context::{ContextError, Side};
use crate::seam::Edit;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Maximum size of a request or a reply on the socket, in bytes.
pub(crate) const MAX_FRAME: usize = 1 << 20;
/// Maximum number of requests of one operation.
pub(crate) const MAX_CALLS: usize = 10_000;

/// A request of a script.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Request {
    /// A call of the `ctx` command.
    Call {
        /// Its arguments.
        args: Vec<Json>,
        /// Its working directory. Relative paths of files are relative to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
    },
    /// Changes of runtime properties.
    Change {
        /// The instance.
        change: ChangedSide,
        /// The changes.
        edits: Vec<Edit>,
    },
    /// Asks for the whole context.
    Describe {
        /// Always true.
        describe: bool,
    },
    /// The script ends with an exception.
    Raise {
        /// The exception.
        raise: Raised,
    },
    /// A request about secrets.
    Secret {
        /// The request.
        secret: SecretRequest,
    },
}

/// The instance whose runtime properties change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangedSide {
    /// See [`Side::Own`].
    Own,
    /// See [`Side::Source`].
    Source,
    /// See [`Side::Target`].
    Target,
}

impl From<ChangedSide> for Side {
    fn from(side: ChangedSide) -> Self {
        match side {
            ChangedSide::Own => Self::Own,
            ChangedSide::Source => Self::Source,
            ChangedSide::Target => Self::Target,
        }
    }
}

/// An exception that a Python script raised.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Raised {
    /// Name of its class.
    pub class: String,
    /// Message.
    pub message: String,
    /// Names of the classes of Cloudify that it is derived from.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Seconds until the retry.
    #[serde(default)]
    pub retry_after: Option<f64>,
    /// Traceback.
    #[serde(default)]
    pub traceback: String,
}

/// A request about secrets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum SecretRequest {
    /// Returns the value of a secret.
    Get {
        /// Its name.
        key: String,
    },
    /// Returns the names of secrets.
    List {
        /// Only this one.
        #[serde(default)]
        key: Option<String>,
    },
    /// Creates a secret.
    Create {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
        /// Changes an existing one.
        #[serde(default)]
        update_if_exists: bool,
    },
    /// Changes a secret that exists.
    Update {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// Deletes a secret that exists.
    Delete {
        /// Its name.
        key: String,
    },
}

/// A reply.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The value of a call.
    Result(Json),
    /// The call failed.
    Error {
        /// Name of the class of the exception.
        #[serde(rename = "type")]
        class: String,
        /// Message.
        message: String,
        /// Same as the message: there is no Python behind it.
        traceback: String,
    },
    /// The script is to stop.
    StopOperation {
        /// Reason.
        message: String,
    },
}

impl From<ContextError> for Reply {
    fn from(error: ContextError) -> Self {
        Self::Error {
            traceback: error.to_string(),
            class: error.class,
            message: error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_and_replies_have_the_form_of_cloudify() {
        let read = |json: Json| serde_json::from_value::<Request>(json).unwrap();
        let call = read(json!({ "args": ["node", 1] }));
        assert_eq!(
            call,
            Request::Call {
                args: vec![json!("node"), json!(1)],
                cwd: None
            }
        );
        let secret = read(json!({ "secret": { "action": "get", "key": "k" } }));
        assert!(matches!(secret, Request::Secret { .. }), "{secret:?}");
        assert_eq!(
            json!(Reply::Result(Json::Null)),
            json!({ "type": "result", "payload": null })
        );
        assert_eq!(
            json!(Reply::from(ContextError::runtime("no"))),
            json!({ "type": "error", "payload": { "type": "RuntimeError", "message": "no", "traceback": "RuntimeError: no" } })
        );
        assert_eq!(
            json!(Reply::StopOperation {
                message: "m".to_owned()
            }),
            json!({ "type": "stop_operation", "payload": { "message": "m" } })
        );
    }
}

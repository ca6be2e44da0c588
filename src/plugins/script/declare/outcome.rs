//! The outcome of an operation, from the end of its script.

use super::{
    context::{Stop, Verdict},
    request::Raised,
};
use crate::{
    model::function::python_text,
    seam::{Failure, FailureKind, Outputs},
};
use serde_json::Value as Json;

/// Classes of Cloudify whose message needs no name of the class.
const OWN_CLASSES: [&str; 3] = ["NonRecoverableError", "RecoverableError", "OperationRetry"];

/// The end of a script.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Path of the script, for messages.
    pub command: String,
    /// Exit code; 128 + n if signal n ended it.
    pub code: i32,
    /// What the script wants the operation to end with.
    pub verdict: Verdict,
    /// The retry that the script asked for in addition.
    pub requested_retry: Option<Stop>,
    /// The exception that ended a Python script.
    pub raised: Option<Raised>,
    /// Last lines of output.
    pub output: Vec<String>,
}

impl Ended {
    /// Returns the outcome, with the kinds of failures of Cloudify: an exit code is temporary, an
    /// abort is permanent.
    pub(crate) fn outcome(self) -> Result<Outputs, Failure> {
        if let Some(raised) = &self.raised {
            return Err(self.failed(raised_failure(raised)));
        }
        match &self.verdict {
            Verdict::Contradiction => Err(Failure::fatal(Verdict::CONTRADICTION)),
            Verdict::Stopped(stop) => Err(stopped(stop)),
            _ if self.code != 0 => Err(self.failed(self.exit_failure())),
            _ if self.requested_retry.is_some() => Err(self
                .requested_retry
                .as_ref()
                .map(stopped)
                .unwrap_or_default()),
            Verdict::Returned(Json::Null) | Verdict::Open => Ok(Outputs::default()),
            Verdict::Returned(value) => Ok(Outputs {
                result: Some(value.clone()),
                ..Outputs::default()
            }),
        }
    }

    fn exit_failure(&self) -> Failure {
        let message = format!("command: {}, exit_code: {}", self.command, self.code);
        Failure::fatal(message).temporary()
    }

    fn failed(&self, failure: Failure) -> Failure {
        let traceback = self
            .raised
            .iter()
            .flat_map(|raised| raised.traceback.lines());
        let output = self.output.iter().cloned();
        Failure {
            output: output.chain(traceback.map(str::to_owned)).collect(),
            ..failure
        }
    }
}

fn stopped(stop: &Stop) -> Failure {
    match stop {
        Stop::Abort { message } if message.is_empty() => {
            Failure::fatal("the script aborted the operation")
        }
        Stop::Abort { message } => Failure::fatal(message),
        Stop::Retry { message, after } => retry(message, *after),
    }
}

fn retry(message: &str, after: Option<f64>) -> Failure {
    let shown = after.map(|after| format!(" [retry_after={}]", python_text(&number(after))));
    Failure {
        kind: FailureKind::Temporary {
            lost: false,
            retry_after: after.map(milliseconds),
        },
        ..Failure::fatal(message.to_owned() + &shown.unwrap_or_default())
    }
}

fn raised_failure(raised: &Raised) -> Failure {
    let is_final = raised
        .bases
        .iter()
        .any(|base| base == "NonRecoverableError");
    let is_own = OWN_CLASSES.contains(&raised.class.as_str());
    let message = if is_own && !raised.message.is_empty() {
        raised.message.clone()
    } else {
        format!("{}: {}", raised.class, raised.message)
    };
    match is_final {
        true => Failure::fatal(message),
        false if is_own => retry(&message, raised.retry_after),
        false => Failure::fatal(message).temporary(),
    }
}

/// Returns seconds as an integer if they are whole.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and small"
)]
fn number(seconds: f64) -> Json {
    if seconds.fract() == 0.0 && seconds.abs() < 1e15 {
        (seconds as i64).into()
    } else {
        seconds.into()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a delay is not negative, and a longer one than 2^64 ms does not matter"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(code: i32, verdict: Verdict) -> Result<Outputs, Failure> {
        let ended = Ended {
            command: "/x/s.sh".to_owned(),
            code,
            verdict,
            raised: None,
            requested_retry: None,
            output: vec!["last".to_owned()],
        };
        ended.outcome()
    }

    #[test]
    fn a_verdict_wins_over_the_exit_code() {
        let abort = Verdict::Stopped(Stop::Abort {
            message: "no".to_owned(),
        });
        for code in [0, 1] {
            let failure = ended(code, abort.clone()).unwrap_err();
            assert_eq!(
                (failure.message.as_str(), failure.is_recoverable()),
                ("no", false)
            );
        }
        let later = Stop::Retry {
            message: "later".to_owned(),
            after: Some(7.0),
        };
        let failure = ended(0, Verdict::Stopped(later)).unwrap_err();
        assert_eq!(failure.message, "later [retry_after=7]");
        assert_eq!(failure.retry_after(), Some(7000));
        let twice = ended(0, Verdict::Contradiction).unwrap_err();
        assert!(!twice.is_recoverable());
    }

    #[test]
    fn a_failed_script_loses_its_value() {
        let value = Verdict::Returned(json!("v"));
        let failure = ended(5, value.clone()).unwrap_err();
        assert_eq!(failure.message, "command: /x/s.sh, exit_code: 5");
        assert!(failure.is_recoverable());
        assert_eq!(failure.output, ["last"]);
        assert_eq!(ended(0, value).unwrap().result, Some(json!("v")));
        assert_eq!(ended(0, Verdict::Open).unwrap(), Outputs::default());
    }

    #[test]
    fn exceptions_keep_the_kind_of_their_class() {
        let raised = |class: &str, bases: &[&str], retry_after| {
            let raised = Raised {
                class: class.to_owned(),
                message: "m".to_owned(),
                bases: bases.iter().map(ToString::to_string).collect(),
                retry_after,
                traceback: String::new(),
            };
            raised_failure(&raised)
        };
        let own = raised("NonRecoverableError", &["NonRecoverableError"], None);
        assert_eq!((own.message.as_str(), own.is_recoverable()), ("m", false));
        let derived = raised("HttpException", &["NonRecoverableError"], None);
        assert_eq!(
            (derived.message.as_str(), derived.is_recoverable()),
            ("HttpException: m", false)
        );
        let later = raised("RecoverableError", &["RecoverableError"], Some(1.5));
        assert_eq!(
            (later.message.as_str(), later.retry_after()),
            ("m [retry_after=1.5]", Some(1500))
        );
        let other = raised("ValueError", &[], None);
        assert_eq!(
            (other.message.as_str(), other.is_recoverable()),
            ("ValueError: m", true)
        );
    }
}

//! Names and numbers of signals, as engines on Linux know them.

use crate::diagnostic::{fault::Fault, nearest};
use serde_json::Value as Json;

/// All names but those of the real-time signals, which are `SIGRTMIN` to `SIGRTMIN+15` and
/// `SIGRTMAX-14` to `SIGRTMAX`.
const NAMES: [&str; 35] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGUNUSED",
];

/// Converts a signal, such as `SIGTERM`, `term` or 15, to a string.
pub(super) fn signal(value: &Json) -> Result<Json, Fault> {
    let given = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => {
            return Err(super::convert::expected(
                "the name or the number of a signal",
                value,
            ));
        }
    };
    if given.is_empty() || is_signal(&given) {
        return Ok(given.into());
    }
    let fault = Fault::new(format!("`{given}` is not a signal"));
    Err(fault.hint(advice(&given)))
}

fn advice(given: &str) -> String {
    match nearest(&full_name(given), NAMES) {
        Some(near) => format!("did you mean {near}?"),
        None => "use a name such as SIGTERM, or a number from 1 to 64".to_owned(),
    }
}

fn is_signal(given: &str) -> bool {
    if let Ok(number) = given.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let name = full_name(given);
    NAMES.contains(&&*name) || is_real_time(name.trim_start_matches("SIG"))
}

fn full_name(given: &str) -> String {
    let upper = given.to_uppercase();
    if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    }
}

fn is_real_time(name: &str) -> bool {
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(number) => number.parse::<u8>().ok(),
        None => rest.is_empty().then_some(0),
    };
    let from_min = name.strip_prefix("RTMIN").and_then(|it| offset(it, '+'));
    let from_max = name.strip_prefix("RTMAX").and_then(|it| offset(it, '-'));
    from_min.is_some_and(|it| it <= 15) || from_max.is_some_and(|it| it <= 14)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signals_are_names_or_numbers() {
        for known in [
            json!("SIGTERM"),
            json!("term"),
            json!("15"),
            json!(9),
            json!("SIGRTMIN+3"),
            json!("RTMAX-14"),
            json!("SIGRTMIN"),
            json!(""),
        ] {
            assert!(signal(&known).is_ok(), "{known}");
        }
        for unknown in [
            json!("SIGNOSUCH"),
            json!(0),
            json!(65),
            json!("RTMIN+16"),
            json!("RTMAX-15"),
            json!(true),
        ] {
            assert!(signal(&unknown).is_err(), "{unknown}");
        }
        let fault = signal(&json!("SIGTREM")).unwrap_err();
        assert_eq!(fault.hint.as_deref(), Some("did you mean SIGTERM?"));
    }
}

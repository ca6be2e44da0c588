//! Names and numbers of signals, as engines on Linux know them.

use crate::diagnostic::{fault::Fault, nearest};
use serde_json::Value as Json;

/// Names without `SIG`. The real-time signals are `RTMIN` to `RTMIN+15` and `RTMAX-14` to `RTMAX`.
const NAMES: [&str; 35] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "UNUSED",
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
    let upper = given.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    match nearest(name, NAMES) {
        Some(near) => format!("did you mean SIG{near}?"),
        None => "use a name such as SIGTERM, or a number from 1 to 64".to_owned(),
    }
}

fn is_signal(given: &str) -> bool {
    if let Ok(number) = given.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = given.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
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

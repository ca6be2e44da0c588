//! Schedules of deployments: checked, and normalised where the DSL says so.

use super::{
    Data, Map, Value,
    call::call,
    fields::{Fields, Owner, Reader},
};
use crate::diagnostic::Code;
use std::sync::Arc;

const WEEKDAYS: [&str; 7] = ["su", "mo", "tu", "we", "th", "fr", "sa"];
/// Units of `since`, `until` and `recurrence`, each with its spellings.
const UNITS: [&str; 21] = [
    "minutes", "minute", "min", "m", "hours", "hour", "h", "days", "day", "d", "weeks", "week", "w", "months", "month", "mo", "years",
    "year", "y", "seconds", "s",
];

/// Reads `deployment_settings.default_schedules.NAME`.
pub(super) fn schedule(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Value> {
    let owner = Owner::new("schedule", name);
    let mut fields = Fields::open(value, owner, r)?;
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for key in ["workflow", "since", "until", "recurrence", "timezone"] {
        let Some((name, given)) = fields.entry(key).filter(|(_, given)| !given.is_null()) else {
            if matches!(key, "workflow" | "since") {
                r.missing(value.span, &owner, key);
            }
            continue;
        };
        if let Some(text) = r.text(given, &owner.part(key)) {
            entries.push((name.clone(), Value::text(given.span, &normal(key, &text.node, given, r))));
        }
    }
    for key in ["count", "weekdays", "slip", "default_enabled", "stop_after_fail", "workflow_parameters", "execution_arguments"] {
        if let Some((name, given)) = fields.entry(key).filter(|(_, given)| !given.is_null()) {
            check(key, given, &owner, r);
            entries.push((name.clone(), given.clone()));
        }
    }
    fields.close(r);
    Some(Value::new(value.span, Data::Map(Arc::new(Map { entries }))))
}

fn check(key: &'static str, given: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) {
    let part = owner.part(key);
    match key {
        "count" | "slip" if !matches!(given.data, Data::Int(_) | Data::Bool(_)) => r.wrong_shape(given, &part, "an integer"),
        "default_enabled" | "stop_after_fail" if !matches!(given.data, Data::Bool(_)) => r.wrong_shape(given, &part, "a boolean"),
        "weekdays" => {
            for item in r.list(given, &part) {
                if let Some(text) = r.text(item, &part).filter(|text| !is_weekday(&text.node)) {
                    let fault = text.span.error(Code::Schedule, format!("`{}` is no day of the week", text.node));
                    r.push(
                        fault
                            .did_you_mean(&text.node, WEEKDAYS)
                            .hint(format!("days: {}; a number before one counts weeks", WEEKDAYS.join(", "))),
                    );
                }
            }
        }
        "workflow_parameters" => {
            for (_, value) in r.map(given, &part).into_iter().flat_map(|map| &map.entries) {
                if call(value).is_some_and(|call| call.name == "get_attribute") {
                    r.push(value.span.error(Code::Schedule, "the parameters of a schedule cannot hold attributes"));
                }
            }
        }
        "execution_arguments" => {
            if let Some(mut fields) = Fields::open(given, part, r) {
                for key in ["force", "is_dry_run", "allow_custom_parameters"] {
                    let value = fields.take(key);
                    fields.boolean(key, value, r);
                }
                if let Some(wait) =
                    fields.take("wait_after_fail").filter(|value| !matches!(value.data, Data::Int(_) | Data::Bool(_) | Data::Null))
                {
                    r.wrong_shape(wait, &part.part("wait_after_fail"), "an integer");
                }
                fields.close(r);
            }
        }
        _ => {}
    }
}

/// `mo`, or with the number of the week: `2mo`, `-1fr`.
fn is_weekday(text: &str) -> bool {
    let day = text.trim_start_matches(['+', '-']).trim_start_matches(|c: char| c.is_ascii_digit());
    WEEKDAYS.contains(&day.to_ascii_lowercase().as_str())
}

fn normal(key: &str, text: &str, given: &Value, r: &mut Reader<'_>) -> String {
    match key {
        "since" | "until" => moment(text).unwrap_or_else(|| {
            let fault = given.span.error(Code::Schedule, format!("`{text}` is no point in time"));
            r.push(fault.hint("write 2030-01-31 23:59, or from now on: +2h+30min"));
            text.to_owned()
        }),
        "recurrence" if !is_span(text) => {
            let fault = given.span.error(Code::Schedule, format!("`{text}` is no span of time"));
            r.push(fault.hint("write a number and a unit: 2 weeks, 1d"));
            text.to_owned()
        }
        _ => text.to_owned(),
    }
}

/// A point in time as the plan spells it: relative ones stay, absolute ones have seconds.
fn moment(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('+') {
        return rest.split('+').all(is_span).then(|| text.to_owned());
    }
    let (date, time) = text.split_once([' ', 'T'])?;
    let is_number = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|c| c.is_ascii_digit());
    let date_fits = matches!(date.split('-').collect::<Vec<_>>()[..], [y, m, d] if is_number(y, 4) && is_number(m, 2) && is_number(d, 2));
    let parts: Vec<&str> = time.split(':').collect();
    let time_fits = matches!(parts.len(), 2 | 3) && parts.iter().all(|part| is_number(part, 2));
    (date_fits && time_fits).then(|| format!("{date} {time}{}", if parts.len() == 2 { ":00" } else { "" }))
}

/// `2 weeks`, `1d`.
fn is_span(text: &str) -> bool {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && UNITS.contains(&unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_normalised() {
        assert_eq!(moment("2030-01-01 00:00").as_deref(), Some("2030-01-01 00:00:00"));
        assert_eq!(moment("+2h+30min").as_deref(), Some("+2h+30min"));
        assert_eq!(moment("tomorrow"), None);
        assert!(is_span("2 weeks") && is_span("1d") && !is_span("d"));
        assert!(is_weekday("2mo") && is_weekday("su") && !is_weekday("xx"));
    }
}

//! Checks and normalizes the schedules of deployments.

use super::{
    Data, Map, Value,
    call::call,
    fields::{Fields, Owner, Reader},
};
use crate::diagnostic::Code;
use jiff::{civil::DateTime, tz::TimeZone};
use std::sync::Arc;

const WEEKDAYS: [&str; 7] = ["su", "mo", "tu", "we", "th", "fr", "sa"];
/// Units of relative times and of `recurrence`, in all spellings. Minutes are abbreviated as `M`,
/// months as `mo`.
const UNITS: [&str; 20] = [
    "minutes", "minute", "mins", "min", "M", "hours", "hour", "h", "days", "day", "d", "weeks",
    "week", "w", "months", "month", "mo", "years", "year", "y",
];

/// Reads `deployment_settings.default_schedules.NAME`.
pub(super) fn schedule(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Value> {
    let owner = Owner::new("schedule", name);
    let mut fields = Fields::open(value, owner, r)?;
    let mut entries: Vec<(Value, Value)> = Vec::new();
    let zone = fields
        .take("timezone")
        .filter(|given| !given.is_null())
        .and_then(|given| time_zone(given, &owner, r))
        .unwrap_or(TimeZone::UTC);
    for key in ["workflow", "since", "until", "recurrence"] {
        let Some((name, given)) = fields.entry(key).filter(|(_, given)| !given.is_null()) else {
            if matches!(key, "workflow" | "since") {
                r.missing(value.span, &owner, key);
            }
            continue;
        };
        if let Some(text) = r.text(given, &owner.part(key)) {
            entries.push((
                name.clone(),
                Value::text(given.span, &normalized(key, &text.node, &zone, given, r)),
            ));
        }
    }
    for key in [
        "count",
        "weekdays",
        "slip",
        "default_enabled",
        "stop_after_fail",
        "workflow_parameters",
        "execution_arguments",
    ] {
        if let Some((name, given)) = fields.entry(key).filter(|(_, given)| !given.is_null()) {
            check(key, given, &owner, r);
            entries.push((name.clone(), given.clone()));
        }
    }
    fields.report_unknown(r);
    Some(Value::new(
        value.span,
        Data::Map(Arc::new(Map::new(entries))),
    ))
}

fn check(key: &'static str, given: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) {
    let part = owner.part(key);
    match key {
        "count" | "slip" if !matches!(given.data, Data::Int(_) | Data::Bool(_)) => {
            r.wrong_shape(given, &part, "an integer")
        }
        "default_enabled" | "stop_after_fail" if !matches!(given.data, Data::Bool(_)) => {
            r.wrong_shape(given, &part, "a boolean")
        }
        "weekdays" => {
            for item in r.list(given, &part) {
                if let Some(text) = r.text(item, &part).filter(|text| !is_weekday(&text.node)) {
                    let fault = text.span.error(
                        Code::Schedule,
                        format!("`{}` is not a day of the week", text.node),
                    );
                    r.push(fault.did_you_mean(&text.node, WEEKDAYS).hint(format!(
                        "days: {}; a number before the day selects the week",
                        WEEKDAYS.join(", ")
                    )));
                }
            }
        }
        "workflow_parameters" if call(given).is_some() => {
            let message = format!("{part} must be a mapping of parameters, not a function");
            r.push(given.span.error(given.shape_code(), message));
        }
        "workflow_parameters" => {
            for (_, value) in r.map(given, &part).into_iter().flat_map(|map| &map.entries) {
                if call(value).is_some_and(|call| call.name == "get_attribute") {
                    r.push(value.span.error(
                        Code::Schedule,
                        "the workflow parameters of a schedule cannot use `get_attribute`",
                    ));
                }
            }
        }
        "execution_arguments" => {
            if let Some(mut fields) = Fields::open(given, part, r) {
                for key in ["force", "is_dry_run", "allow_custom_parameters"] {
                    fields.boolean(key, r);
                }
                if let Some(wait) = fields.take("wait_after_fail").filter(|value| {
                    !matches!(value.data, Data::Int(_) | Data::Bool(_) | Data::Null)
                }) {
                    r.wrong_shape(wait, &part.part("wait_after_fail"), "an integer");
                }
                fields.report_unknown(r);
            }
        }
        _ => {}
    }
}

/// Returns a time zone of the IANA database. The spelling must match exactly.
fn time_zone(given: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Option<TimeZone> {
    let text = r
        .text(given, &owner.part("timezone"))
        .filter(|text| !text.node.is_empty())?;
    let found = TimeZone::get(&text.node)
        .ok()
        .filter(|zone| zone.iana_name() == Some(&*text.node));
    if found.is_none() {
        let fault = given.span.error(
            Code::ScheduleTime,
            format!("there is no time zone `{}`", text.node),
        );
        let names: Vec<String> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .collect();
        r.push(fault.did_you_mean(&text.node, names.iter().map(String::as_str)));
    }
    found
}

/// Returns true for a day with an optional week number: `mo`, `2mo`, `-1fr`.
fn is_weekday(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WEEKDAYS.iter().any(|day| text.ends_with(day)) && !text.ends_with("day")
}

fn normalized(key: &str, text: &str, zone: &TimeZone, given: &Value, r: &mut Reader<'_>) -> String {
    match key {
        "since" | "until" => normalized_time(text, zone).unwrap_or_else(|| {
            let fault = given
                .span
                .error(Code::ScheduleTime, format!("`{text}` is not a valid time"));
            r.push(fault.hint(
                "write a time such as 2030-01-31 23:59, or an offset from now such as +2h+30min",
            ));
            text.to_owned()
        }),
        // As in Cloudify, an empty interval means that the workflow runs once.
        "recurrence" if !text.is_empty() && !is_interval(text) => {
            let fault = given.span.error(
                Code::ScheduleTime,
                format!("`{text}` is not a valid interval"),
            );
            r.push(fault.hint("write a number and a unit, such as 2 weeks or 1d"));
            text.to_owned()
        }
        _ => text.to_owned(),
    }
}

/// Returns a time in the format of the plan. Relative times stay unchanged; absolute times are
/// converted to UTC and get seconds.
fn normalized_time(text: &str, zone: &TimeZone) -> Option<String> {
    if let Some(rest) = text.strip_prefix('+') {
        return rest
            .split('+')
            .all(|step| !starts_like_interval(step) || is_interval(step))
            .then(|| text.to_owned());
    }
    let today = || jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let at = DateTime::strptime("%Y-%m-%d %H:%M", text)
        .or_else(|_| {
            jiff::civil::Time::strptime("%H:%M", text).map(|time| today().to_datetime(time))
        })
        .ok()
        .filter(|_| !text.starts_with(' ') && !text.ends_with(' '))?;
    let at = at
        .to_zoned(zone.clone())
        .ok()?
        .with_time_zone(TimeZone::UTC);
    Some(at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Returns true if a text starts like an interval. Cloudify accepts all other texts unchecked.
fn starts_like_interval(text: &str) -> bool {
    let (number, unit) = split_number(text);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    !number.is_empty() && unit.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns true for an interval such as `2 weeks` or `1d`.
fn is_interval(text: &str) -> bool {
    let (number, unit) = split_number(text);
    !number.is_empty() && UNITS.contains(&unit.strip_prefix(' ').unwrap_or(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_normalized() {
        let at = |text: &str, zone: &str| normalized_time(text, &TimeZone::get(zone).unwrap());
        assert_eq!(
            at("2030-01-01 00:00", "UTC").as_deref(),
            Some("2030-01-01 00:00:00")
        );
        assert_eq!(
            at("2030-01-01 00:00", "EST").as_deref(),
            Some("2030-01-01 05:00:00")
        );
        assert_eq!(
            at("2030-07-01 00:00", "Europe/Berlin").as_deref(),
            Some("2030-06-30 22:00:00")
        );
        assert_eq!(
            at("2030-1-1 0:0", "UTC").as_deref(),
            Some("2030-01-01 00:00:00")
        );
        assert_eq!(at("+2h+30min", "EST").as_deref(), Some("+2h+30min"));
        assert!(at("10:30", "UTC").unwrap().ends_with(" 10:30:00"));
        for wrong in [
            "tomorrow",
            "2030-01-01",
            "2030-02-30 00:00",
            "2030-01-01 00:00:00",
            "2030-01-01T00:00",
            "+2 fortnights",
            "+2h +30min",
        ] {
            assert_eq!(at(wrong, "UTC"), None, "{wrong}");
        }
    }

    #[test]
    fn intervals_and_weekdays_are_recognized() {
        assert!(
            is_interval("2 weeks")
                && is_interval("1d")
                && is_interval("1 M")
                && !is_interval("d")
                && !is_interval("1 m")
                && !is_interval("1  d")
        );
        assert!(
            is_weekday("2mo")
                && is_weekday("su")
                && is_weekday("MO")
                && !is_weekday("xx")
                && !is_weekday("monday")
        );
    }
}

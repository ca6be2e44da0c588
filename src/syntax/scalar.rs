//! Resolves plain scalars like PyYAML's safe loader (YAML 1.1).
//!
//! Cloudify uses that loader, and some blueprints depend on its rules: `yes` is a boolean, `010` is
//! 8, `22:22` is 1342, `1e3` is text. No Rust library implements them.

use super::Data;
use std::{ops::RangeInclusive, str::FromStr};

/// A text in the form of a date that does not exist.
#[derive(Debug)]
pub(super) struct InvalidDate;

/// Resolves a plain scalar. Everything that matches no other rule is text.
pub(super) fn resolve(text: &str) -> Result<Data, InvalidDate> {
    if text.starts_with(|c: char| !(c.is_ascii_digit() || "~nNyYtTfFoO+-.".contains(c))) {
        return Ok(Data::Str(text.into()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Data::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Data::Bool(false)
        }
        _ => match number(text) {
            Some(number) => number,
            None => date(text)
                .transpose()?
                .unwrap_or_else(|| Data::Str(text.into())),
        },
    })
}

/// Parses a number with a number of digits in `lengths`.
fn digits<T: FromStr>(text: &str, lengths: RangeInclusive<usize>) -> Option<T> {
    let fits = lengths.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Parses `2020-01-31`, or with a time `2020-1-31 1:02:03.5 +02:00`. Returns it in ISO 8601 format.
fn date(text: &str) -> Option<Result<Data, InvalidDate>> {
    let (date, rest) =
        text.split_at_checked(text.find(['T', 't', ' ', '\t']).unwrap_or(text.len()))?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let shortest = if rest.is_empty() { 2 } else { 1 };
    let (year, month, day) = (
        digits::<i16>(year, 4..=4)?,
        digits(month, shortest..=2)?,
        digits(day, shortest..=2)?,
    );
    let time = if rest.is_empty() {
        Ok(String::new())
    } else {
        time(rest)?
    };
    let is_day = year > 0 && jiff::civil::Date::new(year, month, day).is_ok();
    let format_date = |time| Data::Date(format!("{year:04}-{month:02}-{day:02}{time}").into());
    Some(if is_day {
        time.map(format_date)
    } else {
        Err(InvalidDate)
    })
}

/// Parses the part of a date after the day: separator, time, fraction, zone.
fn time(text: &str) -> Option<Result<String, InvalidDate>> {
    let text = text
        .strip_prefix(['T', 't'])
        .unwrap_or_else(|| text.trim_start_matches([' ', '\t']));
    let end = text.find(['Z', '+', '-', ' ', '\t']).unwrap_or(text.len());
    let (clock, zone) = (&text[..end], text[end..].trim_matches([' ', '\t']));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (hour, minute, second) = (
        digits(hour, 1..=2)?,
        digits(minute, 2..=2)?,
        digits(second, 2..=2)?,
    );
    if !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let offset = offset(zone)?;
    // Second 60 (a leap second) exists in some standards, but not here.
    if second > 59 || jiff::civil::Time::new(hour, minute, second, 0).is_err() {
        return Some(Err(InvalidDate));
    }
    let micro = format!("{fraction:0<6}")[..6].to_owned();
    let fraction = if micro == "000000" {
        String::new()
    } else {
        format!(".{micro}")
    };
    Some(offset.map(|offset| format!("T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")))
}

fn offset(zone: &str) -> Option<Result<String, InvalidDate>> {
    let Some(sign) = zone.chars().next().filter(|sign| *sign != 'Z') else {
        return (zone.len() <= 1).then(|| {
            Ok(if zone == "Z" {
                "+00:00".to_owned()
            } else {
                String::new()
            })
        });
    };
    let (hours, minutes) = zone[1..].split_once(':').unwrap_or((&zone[1..], "00"));
    let (hours, minutes) = (digits::<u8>(hours, 1..=2)?, digits::<u8>(minutes, 2..=2)?);
    let text = if hours < 24 {
        Ok(format!("{sign}{hours:02}:{minutes:02}"))
    } else {
        Err(InvalidDate)
    };
    "+-".contains(sign).then_some(text)
}

fn number(text: &str) -> Option<Data> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    integer(text)
        .map(Data::Int)
        .or_else(|| float(text).map(Data::Float))
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = split_sign(text);
    let value = match digits.as_bytes() {
        [b'0', rest @ ..] if rest.iter().all(|c| *c == b'_') => 0,
        [b'0', b'b', rest @ ..] => parse_radix(rest, 2)?,
        [b'0', b'x', rest @ ..] => parse_radix(rest, 16)?,
        [b'0', rest @ ..] => parse_radix(rest, 8)?,
        [b'1'..=b'9', ..] if digits.contains(':') => sexagesimal(digits)?,
        [b'1'..=b'9', rest @ ..] if rest.iter().all(|c| c.is_ascii_digit() || *c == b'_') => {
            parse_radix(digits.as_bytes(), 10)?
        }
        _ => return None,
    };
    Some(sign * value)
}

fn split_sign(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

fn parse_radix(digits: &[u8], radix: u32) -> Option<i64> {
    let digits: String = digits
        .iter()
        .filter(|c| **c != b'_')
        .map(|c| char::from(*c))
        .collect();
    if digits.starts_with(['+', '-']) {
        None
    } else {
        i64::from_str_radix(&digits, radix).ok()
    }
}

/// Parses `190:20:30` in base 60. Each part after the first is below 60 and has one or two digits.
fn sexagesimal(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let first = parse_radix(parts.next()?.as_bytes(), 10)?;
    parts.try_fold(first, |sum, part| {
        sum.checked_mul(60)?.checked_add(base_60_part(part)?)
    })
}

fn base_60_part(part: &str) -> Option<i64> {
    let fits = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    part.parse().ok().filter(|_| fits)
}

/// Parses a float, which must have a dot, and a sign in its exponent.
fn float(text: &str) -> Option<f64> {
    let (sign, rest) = split_sign(text);
    #[expect(clippy::cast_precision_loss, reason = "the sign is 1 or -1")]
    let sign = sign as f64;
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest == text => return Some(f64::NAN),
        _ => {}
    }
    let (whole, fraction) = rest.split_once('.')?;
    if whole.contains(':') {
        return sexagesimal_float(whole, fraction).map(|value| sign * value);
    }
    let (digits, exponent) = fraction
        .split_once(['e', 'E'])
        .map_or((fraction, None), |(digits, exponent)| {
            (digits, Some(exponent))
        });
    let digits_only = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.len() > 1
            && exponent.starts_with(['+', '-'])
            && exponent[1..].bytes().all(|c| c.is_ascii_digit())
    });
    let starts_well = if whole.is_empty() {
        rest == text && digits.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit())
    };
    if !(digits_only(whole) && digits_only(digits) && exponent_fits && starts_well) {
        return None;
    }
    format!("0{rest}")
        .replace('_', "")
        .parse::<f64>()
        .ok()
        .map(|value| sign * value)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a time of day is far below 2^53"
)]
fn sexagesimal_float(whole: &str, fraction: &str) -> Option<f64> {
    let fraction = fraction.replace('_', "");
    let fits = whole.starts_with(|c: char| c.is_ascii_digit())
        && fraction.bytes().all(|c| c.is_ascii_digit());
    let fraction: f64 = format!("0.{fraction}0").parse().ok().filter(|_| fits)?;
    sexagesimal(whole).map(|whole| whole as f64 + fraction)
}

#[cfg(test)]
mod tests {
    use super::{Data, resolve};

    fn shown(text: &str) -> String {
        let Ok(data) = resolve(text) else {
            return "no date".into();
        };
        match data {
            Data::Null => "null".into(),
            Data::Bool(value) => format!("bool {value}"),
            Data::Int(value) => format!("int {value}"),
            Data::Float(value) => format!("float {value}"),
            Data::Str(text) => format!("str {text}"),
            Data::Date(text) => format!("date {text}"),
            Data::Bytes(_) => unreachable!("a plain scalar is never binary"),
            Data::List(_) | Data::Map(_) => unreachable!("a plain scalar is never a collection"),
        }
    }

    #[test]
    fn scalars_resolve_as_in_pyyaml() {
        for (text, meaning) in [
            ("yes", "bool true"),
            ("OFF", "bool false"),
            ("y", "str y"),
            ("010", "int 8"),
            ("0o10", "str 0o10"),
            ("08", "str 08"),
            ("0b101", "int 5"),
            ("0x1F", "int 31"),
            ("1_000", "int 1000"),
            ("-12", "int -12"),
            ("22:22", "int 1342"),
            ("190:20:30", "int 685230"),
            ("80:80", "str 80:80"),
            ("1e3", "str 1e3"),
            ("1.0e3", "str 1.0e3"),
            ("1.e+3", "float 1000"),
            (".5", "float 0.5"),
            ("-.5", "str -.5"),
            ("-.inf", "float -inf"),
            ("0_", "int 0"),
            ("1:30.5", "float 90.5"),
            (".inf", "float inf"),
            ("3.3.1", "str 3.3.1"),
            ("127.0.0.1", "str 127.0.0.1"),
            ("-", "str -"),
            (".", "str ."),
            ("~", "null"),
            ("2020-01-01", "date 2020-01-01"),
            ("2020-1-1", "str 2020-1-1"),
            ("2020-02-30", "no date"),
            ("2020-13-01", "no date"),
            ("2020-01-01 25:00:00", "no date"),
            ("2020-01-01 1:2:3", "str 2020-01-01 1:2:3"),
            ("2020-01-01 10:00:00", "date 2020-01-01T10:00:00"),
            (
                "2020-1-1t1:02:03.5 +2",
                "date 2020-01-01T01:02:03.500000+02:00",
            ),
            ("2020-01-01T10:00:00Z", "date 2020-01-01T10:00:00+00:00"),
        ] {
            assert_eq!(shown(text), meaning, "{text}");
        }
    }
}

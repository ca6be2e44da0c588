//! Formats log messages with the `%` operator of Python.

use super::ContextError;
use crate::model::function::python_text;
use serde_json::Value as Json;

/// Returns a message with its arguments. Without arguments, `%` is an ordinary character.
///
/// # Errors
///
/// If the arguments do not fit the message.
pub(super) fn formatted(message: &str, arguments: &[Json]) -> Result<String, ContextError> {
    if arguments.is_empty() {
        return Ok(message.to_owned());
    }
    let (mut text, mut rest, mut values) = (String::new(), message, arguments.iter());
    while let Some((before, after)) = rest.split_once('%') {
        text += before;
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        if after.starts_with('(') {
            return Err(ContextError::type_error("format requires a mapping"));
        }
        let end = after.find(|c: char| !(c.is_ascii_digit() || "-+ #0.".contains(c)));
        let end = end.ok_or_else(|| ContextError::new("ValueError", "incomplete format"))?;
        let missing = || ContextError::type_error("not enough arguments for format string");
        let value = values.next().ok_or_else(missing)?;
        let conversion = after[end..].chars().next().unwrap_or_default();
        text += &Format::of(&after[..end], conversion).apply(value)?;
        rest = &after[end + conversion.len_utf8()..];
    }
    match values.next() {
        None => Ok(text + rest),
        Some(_) => Err(ContextError::type_error(
            "not all arguments converted during string formatting",
        )),
    }
}

/// Largest width and precision.
const MAX_WIDTH: usize = 1000;

/// A conversion such as `%-5.2f`.
#[expect(clippy::struct_excessive_bools, reason = "flags of a format")]
struct Format {
    is_left: bool,
    is_zero_padded: bool,
    has_sign: bool,
    has_prefix: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl Format {
    fn of(flags: &str, conversion: char) -> Self {
        let digits = flags.trim_start_matches(['-', '+', ' ', '#', '0']);
        let signs = &flags[..flags.len() - digits.len()];
        let (width, precision) = match digits.split_once('.') {
            Some((width, precision)) => (width, Some(precision)),
            None => (digits, None),
        };
        let number = |text: &str| text.parse().unwrap_or(0).min(MAX_WIDTH);
        Self {
            is_left: signs.contains('-'),
            is_zero_padded: signs.contains('0'),
            has_sign: signs.contains('+'),
            has_prefix: signs.contains('#'),
            width: number(width),
            precision: precision.map(number),
            conversion,
        }
    }

    fn apply(&self, value: &Json) -> Result<String, ContextError> {
        let text = match self.conversion {
            's' => self.cut(python_text(value)),
            'r' | 'a' => self.cut(repr(value)),
            'c' => character(value)?,
            'd' | 'i' | 'u' => self.signed(self.integer(value)?, |number| number.to_string()),
            'x' => self.signed(self.integer(value)?, |number| {
                self.prefixed("0x", &format!("{number:x}"))
            }),
            'X' => self.signed(self.integer(value)?, |number| {
                self.prefixed("0X", &format!("{number:X}"))
            }),
            'o' => self.signed(self.integer(value)?, |number| {
                self.prefixed("0o", &format!("{number:o}"))
            }),
            'f' | 'F' => self.float(value, |number, precision| format!("{number:.precision$}"))?,
            'e' | 'E' => self.float(value, exponential)?,
            'g' | 'G' => self.float(value, general)?,
            other => {
                let message = format!("unsupported format character '{other}'");
                return Err(ContextError::new("ValueError", message));
            }
        };
        Ok(self.padded(&text))
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        }
    }

    fn prefixed(&self, prefix: &str, digits: &str) -> String {
        let prefix = if self.has_prefix { prefix } else { "" };
        format!("{prefix}{digits}")
    }

    fn signed(&self, number: i128, digits: impl Fn(u128) -> String) -> String {
        let sign = match (number < 0, self.has_sign) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        format!("{sign}{}", digits(number.unsigned_abs()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Python's integers are larger still"
    )]
    fn integer(&self, value: &Json) -> Result<i128, ContextError> {
        if let Some(number) = value.as_i64() {
            return Ok(number.into());
        }
        self.number(value).map(|number| number.trunc() as i128)
    }

    fn number(&self, value: &Json) -> Result<f64, ContextError> {
        let number = match value {
            Json::Bool(value) => Some(u8::from(*value).into()),
            other => other.as_f64(),
        };
        number.ok_or_else(|| {
            let kind = if value.is_string() {
                "str"
            } else {
                "another type"
            };
            ContextError::type_error(format!(
                "%{} format: a real number is required, not {kind}",
                self.conversion
            ))
        })
    }

    fn float(
        &self,
        value: &Json,
        digits: impl Fn(f64, usize) -> String,
    ) -> Result<String, ContextError> {
        let number = self.number(value)?;
        let text = digits(number, self.precision.unwrap_or(6));
        let sign = if self.has_sign && number >= 0.0 {
            "+"
        } else {
            ""
        };
        let is_upper = self.conversion.is_ascii_uppercase();
        let text = if is_upper { text.to_uppercase() } else { text };
        Ok(format!("{sign}{text}"))
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        let is_number = !matches!(self.conversion, 's' | 'r' | 'a' | 'c');
        if self.is_left {
            return format!("{text:<width$}");
        }
        if !(self.is_zero_padded && is_number) {
            return format!("{text:>width$}");
        }
        let digits = text.trim_start_matches(['-', '+']);
        let sign = &text[..text.len() - digits.len()];
        let width = width.saturating_sub(sign.len());
        format!("{sign}{digits:0>width$}")
    }
}

fn repr(value: &Json) -> String {
    if !value.is_string() {
        return python_text(value);
    }
    let listed = python_text(&Json::from(vec![value.clone()]));
    listed[1..listed.len() - 1].to_owned()
}

fn character(value: &Json) -> Result<String, ContextError> {
    let of_number = || char::from_u32(u32::try_from(value.as_u64()?).ok()?);
    let single = value.as_str().filter(|text| text.chars().count() == 1);
    let found = single
        .map(str::to_owned)
        .or_else(|| of_number().map(String::from));
    found.ok_or_else(|| ContextError::type_error("%c requires int or char"))
}

/// Formats a number with an exponent of at least two digits.
fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Formats a number with as many significant digits, and no zeros at the end.
fn general(number: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let text = exponential(number, precision - 1);
    let exponent: i64 = text
        .rsplit_once('e')
        .map_or(0, |(_, it)| it.parse().unwrap_or(0));
    let digits = i64::try_from(precision).unwrap_or(i64::MAX);
    if exponent < -4 || exponent >= digits {
        let (mantissa, rest) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{rest}", without_zeros(mantissa));
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{number:.decimals$}")).to_owned()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_formatted_as_in_python() {
        let format = |message: &str, arguments: Json| {
            formatted(message, arguments.as_array().unwrap()).map_err(|error| error.message)
        };
        assert_eq!(format("100 %", json!([])).unwrap(), "100 %");
        assert_eq!(
            format("%s is %d%%", json!(["load", 7])).unwrap(),
            "load is 7%"
        );
        assert_eq!(
            format("%r %5s|%-4s|%.2f", json!(["a", "b", "c", 1.5])).unwrap(),
            "'a'     b|c   |1.50"
        );
        for (message, argument, text) in [
            ("%x %%", json!(255), "ff %"),
            ("%#X", json!(255), "0XFF"),
            ("%o", json!(8), "10"),
            ("%c", json!(65), "A"),
            ("%e", json!(1.5), "1.500000e+00"),
            ("%g", json!(0.0001), "0.0001"),
            ("%g", json!(1e20), "1e+20"),
            ("%G", json!(100_000), "100000"),
            ("%.2s", json!("abcdef"), "ab"),
            ("%d", json!(true), "1"),
            ("%05d", json!(-7), "-0007"),
            ("%+d", json!(7), "+7"),
        ] {
            assert_eq!(
                format(message, json!([argument])).unwrap(),
                text,
                "{message}"
            );
        }
        for (message, arguments, error) in [
            (
                "two",
                json!(["words"]),
                "not all arguments converted during string formatting",
            ),
            (
                "%s %s",
                json!(["a"]),
                "not enough arguments for format string",
            ),
            (
                "%d",
                json!(["a"]),
                "%d format: a real number is required, not str",
            ),
            ("%", json!(["a"]), "incomplete format"),
            ("%(a)s", json!(["x"]), "format requires a mapping"),
            ("%q", json!(["x"]), "unsupported format character 'q'"),
        ] {
            assert_eq!(format(message, arguments).unwrap_err(), error);
        }
    }
}

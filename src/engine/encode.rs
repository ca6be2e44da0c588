//! Percent-encoding of text in request paths and queries.

/// Encodes a reference for a path. Keeps slashes.
pub(crate) fn in_path(text: &str) -> String {
    encoded(text, b"-._~/:@")
}

/// Encodes a value for a query.
pub(crate) fn in_query(text: &str) -> String {
    encoded(text, b"-._~")
}

fn encoded(text: &str, plain: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    let one = |byte: u8| match byte {
        byte if is_plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

//! Text in paths and queries of requests.

/// A reference in a path: everything but what is plain is encoded, slashes apart.
pub(crate) fn in_path(text: &str) -> String {
    encoded(text, b"-._~/:@")
}

/// A value in a query.
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

//! Percent-encoding of text in request paths and queries.

/// Encodes a reference for a path. Keeps slashes.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text, b"-._~/:@")
}

/// Encodes a value for a query.
pub(crate) fn encode_query(text: &str) -> String {
    encode(text, b"-._~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    let encode_byte = |byte: u8| match byte {
        byte if is_plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode_byte).collect()
}

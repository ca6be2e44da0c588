//! Digests as text.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Returns bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a keyed digest of 32 digits. It reveals nothing about the text without the key.
///
/// # Panics
///
/// Never: a key can have any length.
pub(crate) fn keyed_digest(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key can have any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())[..32].to_owned()
}

/// Returns the SHA-256 digest of a text, 64 digits.
pub(crate) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

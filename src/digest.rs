//! Digests as text.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A digest of 32 digits that says nothing about its text to those who lack the key.
///
/// # Panics
///
/// Never: a key can have any length.
pub(crate) fn keyed(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key can have any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())[..32].to_owned()
}

/// A digest of 64 digits that anyone can make.
pub(crate) fn plain(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

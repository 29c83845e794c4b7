//! Secrets that are random and not signed: refresh tokens and API keys.
//!
//! Both carry 256 bits, so that a plain SHA-256 is enough to store them by.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// How an API key begins, so that people and scanners recognize one that leaked.
pub(crate) const KEY_PREFIX: &str = "sfr_";

/// How a refresh token begins.
const REFRESH_PREFIX: &str = "sfs_";

/// Letters of an API key that its owner sees in lists: the prefix, and 32 of the 256 bits.
const SHOWN: usize = 12;

/// A new refresh token.
pub(crate) fn new_refresh_token() -> String {
    format!("{REFRESH_PREFIX}{}", hex(&random()))
}

/// A new ticket for one stream of events.
pub(crate) fn new_ticket() -> String {
    hex(&random())
}

/// A new API key, and how it begins.
pub(crate) fn new_api_key() -> (String, String) {
    let key = format!("{KEY_PREFIX}{}", hex(&random()));
    let shown = key.chars().take(SHOWN).collect();
    (key, shown)
}

/// What a secret is stored and found by.
pub(crate) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// The refresh token that follows from another: whoever holds the old one and the service's key can
/// make it again, and nobody else.
pub(super) fn successor(token: &str, key: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return new_refresh_token() };
    // No JWT's signing input holds a colon: nothing signed as one can pass as the other.
    mac.update(b"refresh token after: ");
    mac.update(token.as_bytes());
    format!("{REFRESH_PREFIX}{}", hex(&mac.finalize().into_bytes()))
}

fn random() -> [u8; 32] {
    rand::rng().random()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_can_be_made_again_with_token_and_key_alone() {
        let first = new_refresh_token();
        let second = successor(&first, b"key");
        assert_eq!(second, successor(&first, b"key"));
        assert_eq!((second.len(), second.starts_with("sfs_")), (68, true));
        let others = [successor(&first, b"other"), successor(&second, b"key"), first];
        assert!(!others.contains(&second));
    }

    #[test]
    fn an_api_key_shows_its_beginning_and_no_two_are_alike() {
        let (key, shown) = new_api_key();
        assert!(key.starts_with(&shown) && shown.starts_with(KEY_PREFIX));
        assert_eq!((key.len(), shown.len()), (68, 12));
        assert_ne!(key, new_api_key().0);
    }

    #[test]
    fn a_digest_is_sha_256() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

//! Who is asking: passwords (argon2id), access tokens (JWT), refresh tokens and API keys (random).

mod caller;
mod hasher;
mod hs256;
mod password;
mod secret;
mod token;

use std::sync::Arc;

use chrono::TimeDelta;
use safire_domain::{SessionId, Timestamp, user::User};
use safire_store::sessions::Token as StoredToken;
use secrecy::SecretString;
use thiserror::Error;

use crate::Problem;

pub(crate) use caller::{Admin, Authenticated, Caller, Writer, X_API_KEY, authenticate};
pub(crate) use secret::{KEY_PREFIX, digest, hex, new_api_key, new_refresh_token, new_ticket};

use password::Passwords;
use token::Tokens;

/// How passwords are hashed and tokens signed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key that signs tokens: the same on all replicas.
    pub secret: SecretString,
    /// Keys that signed once, and whose tokens are still good.
    pub previous_secrets: Vec<SecretString>,
    /// How long an access token is good for.
    pub access_token_life: TimeDelta,
    /// How long a refresh token is good for.
    pub refresh_token_life: TimeDelta,
    /// argon2id's memory, in KiB.
    pub memory_kib: u32,
    /// argon2id's passes.
    pub iterations: u32,
    /// Hashes computed at once: each takes a core and `memory_kib`.
    pub permits: usize,
}

/// Why the settings were refused.
#[derive(Debug, Error)]
pub enum BadSettings {
    /// argon2 has bounds of its own.
    #[error("argon2 refuses these parameters: {0}")]
    Argon2(argon2::Error),
    /// No threads to hash on.
    #[error("the threads that hash passwords do not start: {0}")]
    Threads(std::io::Error),
    /// No hash could be computed.
    #[error("no password hash could be computed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// Hashes and checks passwords, signs and reads tokens.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    passwords: Passwords,
    tokens: Tokens,
    refresh_token_life: TimeDelta,
}

/// What came of checking a password.
pub(crate) struct Checked {
    /// Whether it is the right one.
    pub right: bool,
    /// Its hash by today's parameters, when it is right and was hashed with weaker ones.
    pub rehashed: Option<String>,
}

impl Auth {
    /// Prepares hashing and signing.
    pub fn new(settings: &Settings) -> Result<Self, BadSettings> {
        Ok(Self(Arc::new(Inner {
            passwords: Passwords::new(settings)?,
            tokens: Tokens::new(settings),
            refresh_token_life: settings.refresh_token_life,
        })))
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        self.0.passwords.hash(password).await
    }

    /// Whether the password is the one with that hash; without a hash, no after the same time.
    pub(crate) async fn check(&self, password: SecretString, hash: Option<String>) -> Result<Checked, Problem> {
        self.0.passwords.check(password, hash).await
    }

    /// An access token for the user's session, and how many seconds it is good for.
    pub(crate) fn issue(&self, user: &User, session: SessionId, now: Timestamp) -> Result<(String, i64), Problem> {
        self.0.tokens.issue(user, session, now)
    }

    fn read(&self, token: &str, now: Timestamp) -> Result<token::Said, Problem> {
        self.0.tokens.read(token, now)
    }

    /// A refresh token, as it is stored.
    pub(crate) fn stored(&self, token: &str, now: Timestamp) -> StoredToken {
        StoredToken { hash: digest(token), expires_at: now + self.0.refresh_token_life }
    }

    /// The refresh token that follows from `token`, by the key that signs now.
    pub(crate) fn successor(&self, token: &str) -> String {
        secret::successor(token, self.0.tokens.secrets().next().unwrap_or_default())
    }

    /// The refresh token that followed from `token` and has that hash, by whichever key it was made.
    pub(crate) fn successor_with_hash(&self, token: &str, hash: &str) -> Option<String> {
        let mut made = self.0.tokens.secrets().map(|key| secret::successor(token, key));
        made.find(|successor| digest(successor) == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::{token::tests::settings, *};

    #[test]
    fn a_successor_is_found_again_after_the_key_was_rotated() {
        let old = Auth::new(&settings()).unwrap();
        let token = new_refresh_token();
        let successor = old.successor(&token);
        let rotated = Settings {
            secret: "the next secret, of more than thirty-two bytes".into(),
            previous_secrets: vec![settings().secret],
            ..settings()
        };
        let found = |settings: &Settings| Auth::new(settings).unwrap().successor_with_hash(&token, &digest(&successor));
        assert_eq!(found(&rotated).as_ref(), Some(&successor));
        assert_eq!(found(&Settings { previous_secrets: Vec::new(), ..rotated }), None);
    }
}

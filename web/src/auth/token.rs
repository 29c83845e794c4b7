//! Access tokens: JWT, HS256 and nothing else, by keys that can be rotated.

use chrono::{DateTime, TimeDelta};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use safire_domain::{SessionId, Timestamp, UserId, user::User};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Settings, digest, hs256};
use crate::Problem;

const ISSUER: &str = "safire";
const AUDIENCE: &str = "safire-api";

/// The type in the header (RFC 9068): no token made for anything else passes as an access token.
const TYPE: &str = "at+jwt";

/// How far the clocks of replicas may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

pub(super) struct Tokens {
    /// The first one signs.
    keys: Vec<Key>,
    validation: Validation,
    life: TimeDelta,
    /// What tokens say that have passed: a client sends the same one many times.
    passed: Cache<Box<str>, Said>,
}

/// What a token of this service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub user: UserId,
    /// The session that it was issued in, if it names one.
    pub session: Option<SessionId>,
    pub expires_at: Timestamp,
}

/// Tokens remembered at most.
const REMEMBERED: u64 = 10_000;

struct Key {
    id: String,
    secret: SecretString,
}

impl Key {
    fn new(secret: &SecretString) -> Self {
        let id = digest(&format!("key id of {}", secret.expose_secret())).chars().take(16).collect();
        Self { id, secret: secret.clone() }
    }

    fn bytes(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    /// The session that it was issued in; tokens of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    iat: i64,
    exp: i64,
}

impl Tokens {
    pub fn new(settings: &Settings) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The service's own clock decides, below.
        validation.validate_exp = false;
        let secrets = std::iter::once(&settings.secret).chain(&settings.previous_secrets);
        let passed = Cache::new(REMEMBERED);
        Self { keys: secrets.map(Key::new).collect(), validation, life: settings.access_token_life, passed }
    }

    /// The keys, the one that signs first.
    pub fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Key::bytes)
    }

    pub fn issue(&self, user: &User, session: SessionId, now: Timestamp) -> Result<(String, i64), Problem> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.id,
            sid: Some(session),
            iat: now.timestamp(),
            exp: (now + self.life).timestamp(),
        };
        let key = &self.keys[0];
        let header = Header { typ: Some(TYPE.into()), kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.bytes()));
        Ok((token.map_err(|error| Problem::defect(&error))?, self.life.num_seconds()))
    }

    pub fn read(&self, token: &str, now: Timestamp) -> Result<Said, Problem> {
        let said =
            self.said(token).ok_or_else(|| Problem::unauthorized("the access token is not one of this service's"))?;
        if said.expires_at + LEEWAY <= now {
            return Err(Problem::unauthorized("the access token has expired"));
        }
        Ok(said)
    }

    fn said(&self, token: &str) -> Option<Said> {
        self.passed.get(token).or_else(|| {
            let claims = self.claims(token)?;
            let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
            let said = Said { user: claims.sub, session: claims.sid, expires_at };
            self.passed.insert(token.into(), said);
            Some(said)
        })
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let key = self.keys.iter().find(|key| header.kid.as_ref() == Some(&key.id))?;
        let decoded = jsonwebtoken::decode(token, &DecodingKey::from_secret(key.bytes()), &self.validation);
        decoded.ok().map(|token| token.claims)
    }
}

#[cfg(test)]
pub(super) mod tests;

//! Who is asking: passwords (argon2id) and access tokens (JWT, HS256).

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use axum::extract::FromRequestParts;
use chrono::TimeDelta;
use http::{header::AUTHORIZATION, request::Parts};
use jsonwebtoken::{Algorithm as Signature, DecodingKey, EncodingKey, Header, Validation};
use safire_domain::{
    Timestamp, UserId,
    user::{Access, Role, User},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{App, Problem};

const ISSUER: &str = "safire";
const AUDIENCE: &str = "safire-api";

/// How far the clocks of replicas may be apart, in seconds.
const LEEWAY: i64 = 5;

/// How passwords are hashed and tokens signed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key that signs tokens: the same on all replicas.
    pub secret: SecretString,
    /// How long an access token is good for.
    pub access_token_life: TimeDelta,
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
    /// No hash could be computed.
    #[error("no password hash could be computed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// Hashes and checks passwords, signs and reads tokens.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    hasher: Argon2<'static>,
    permits: Semaphore,
    /// The hash of nobody's password: checked for unknown users, so that they take as long as known
    /// ones.
    nobody: String,
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
    life: TimeDelta,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    role: Role,
    iat: i64,
    exp: i64,
}

impl Auth {
    /// Prepares hashing and signing.
    pub fn new(settings: &Settings) -> Result<Self, BadSettings> {
        let params = Params::new(settings.memory_kib, settings.iterations, 1, None).map_err(BadSettings::Argon2)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&hasher, "nobody's password").map_err(BadSettings::Hash)?;
        let secret = settings.secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Signature::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The service's own clock decides, below.
        validation.validate_exp = false;
        Ok(Self(Arc::new(Inner {
            hasher,
            permits: Semaphore::new(settings.permits),
            nobody,
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            validation,
            life: settings.access_token_life,
        })))
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        self.beside(move |inner| hash(&inner.hasher, password.expose_secret()))
            .await?
            .map_err(|error| Problem::defect(&error))
    }

    /// Whether the password is the one with that hash; without a hash, no after the same time.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Problem> {
        self.beside(move |inner| {
            let against = PasswordHash::new(hash.as_deref().unwrap_or(&inner.nobody));
            let right = against
                .is_ok_and(|phc| inner.hasher.verify_password(password.expose_secret().as_bytes(), &phc).is_ok());
            hash.is_some() && right
        })
        .await
    }

    /// Runs slow work on a thread of its own, a few at a time.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, Problem> {
        let _permit = self.0.permits.acquire().await.map_err(|error| Problem::defect(&error))?;
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|error| Problem::defect(&error))
    }

    /// An access token for the user, and how many seconds it is good for.
    pub(crate) fn issue(&self, user: &User, now: Timestamp) -> Result<(String, i64), Problem> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.id,
            role: user.role,
            iat: now.timestamp(),
            exp: (now + self.0.life).timestamp(),
        };
        let token = jsonwebtoken::encode(&Header::new(Signature::HS256), &claims, &self.0.signing);
        Ok((token.map_err(|error| Problem::defect(&error))?, self.0.life.num_seconds()))
    }

    fn read(&self, token: &str, now: Timestamp) -> Result<UserId, Problem> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.0.reading, &self.0.validation)
            .map_err(|_| Problem::unauthorized("the access token is not one of this service's"))?
            .claims;
        if claims.exp + LEEWAY <= now.timestamp() {
            return Err(Problem::unauthorized("the access token has expired"));
        }
        Ok(claims.sub)
    }
}

fn hash(hasher: &Argon2<'_>, password: &str) -> argon2::password_hash::Result<String> {
    Ok(PasswordHasher::<PasswordHash>::hash_password(hasher, password.as_bytes())?.to_string())
}

/// The user who asks, in the role that they have now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub user: UserId,
    role: Role,
}

impl Caller {
    /// What the caller may see and change.
    pub fn access(self) -> Access {
        Access { user: self.user, role: self.role }
    }

    /// Only administrators pass.
    pub fn must_be_admin(self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Analyst | Role::Viewer => Err(Problem::forbidden("only an administrator may do this")),
        }
    }

    /// Viewers do not pass: they change nothing.
    pub fn must_write(self) -> Result<(), Problem> {
        match self.role {
            Role::Admin | Role::Analyst => Ok(()),
            Role::Viewer => Err(Problem::forbidden("a viewer reads and changes nothing")),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header.and_then(|value| value.split_once(' ')).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::unauthorized("send an access token: Authorization: Bearer …"));
        }
        let user = app.auth.read(token.trim(), app.now())?;
        // The token says who asks; what they may do is said by their row, as it is now.
        let role = app.roles.of(user, &app.database).await?;
        let role = role.ok_or_else(|| Problem::unauthorized("the account no longer exists"))?;
        Ok(Self { user, role })
    }
}

/// An administrator who asks; others are refused before anything else of the request is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin(pub Caller);

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.must_be_admin()?;
        Ok(Self(caller))
    }
}

/// A user who asks and is no viewer; viewers are refused before anything else is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer(pub Caller);

impl FromRequestParts<App> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.must_write()?;
        Ok(Self(caller))
    }
}

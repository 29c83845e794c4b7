//! The user who asks, by access token or API key.

use axum::extract::FromRequestParts;
use chrono::TimeDelta;
use http::{HeaderMap, HeaderName, header::AUTHORIZATION, request::Parts};
use safire_domain::{
    Timestamp, UserId,
    user::{Access, Role},
};
use safire_store::{
    keys::{self, Holder},
    streams::Credential,
};

use super::{KEY_PREFIX, digest};
use crate::{App, Problem};

/// Another header for an API key, for clients that cannot set `Authorization`.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How exactly a key's last use is recorded: each time would be a write a request.
const TOUCH: TimeDelta = TimeDelta::minutes(1);

/// The user who asks, in the role that they have now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub user: UserId,
    role: Role,
    /// What they showed.
    pub credential: Credential,
    /// When what they showed ends, if it does.
    pub ends_at: Option<Timestamp>,
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

    /// Only somebody who has signed in passes: a key that leaked must not make further keys.
    pub fn must_have_signed_in(self) -> Result<(), Problem> {
        if matches!(self.credential, Credential::Key(_)) {
            return Err(Problem::forbidden("API keys are managed by an access token, not by an API key"));
        }
        Ok(())
    }
}

/// Who asks, found out once for a request.
#[derive(Clone)]
pub(crate) struct Authenticated(pub Result<Caller, Problem>);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match parts.extensions.get::<Authenticated>() {
            Some(Authenticated(known)) => known.clone(),
            None => authenticate(&parts.headers, app).await,
        }
    }
}

/// Who sent these headers.
pub(crate) async fn authenticate(headers: &HeaderMap, app: &App) -> Result<Caller, Problem> {
    let Some(credential) = credential(headers) else {
        return Err(Problem::unauthorized("send an access token or an API key: Authorization: Bearer …"));
    };
    if credential.starts_with(KEY_PREFIX) {
        return by_key(credential, app).await;
    }
    let token = app.auth.read(credential, app.now())?;
    // The token says who asks; what they may do is said by their row, as it is now.
    let role = app.roles.of(token.user, &app.database).await?;
    let role = role.ok_or_else(|| Problem::unauthorized("the account no longer exists"))?;
    let credential = token.session.map_or(Credential::Token, Credential::Session);
    Ok(Caller { user: token.user, role, credential, ends_at: Some(token.expires_at) })
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

fn credential(headers: &HeaderMap) -> Option<&str> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let (scheme, credential) = header.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim());
    }
    let key = headers.get(X_API_KEY)?.to_str().ok()?.trim();
    key.starts_with(KEY_PREFIX).then_some(key)
}

/// The key's row is read each time, so that a revoked key is refused at once.
async fn by_key(key: &str, app: &App) -> Result<Caller, Problem> {
    let hash = digest(key);
    let holder = app.database.read(move |c| Box::pin(async move { keys::holder(c, &hash).await })).await?;
    let holder = holder.ok_or_else(|| Problem::unauthorized("the API key is unknown or revoked"))?;
    touch(&holder, app);
    let Holder { user, key, .. } = holder;
    Ok(Caller { user: user.id, role: user.role, credential: Credential::Key(key), ends_at: None })
}

/// Records the use beside the request, which does not wait for it.
fn touch(holder: &Holder, app: &App) {
    let (key, now) = (holder.key, app.now());
    if holder.last_used_at.is_some_and(|last| now - last < TOUCH) {
        return;
    }
    let database = app.database.clone();
    tokio::spawn(async move {
        let touched = database.write(move |c| Box::pin(keys::touch(c, key, now))).await;
        if let Err(error) = touched {
            tracing::debug!(%error, "the use of an API key was not recorded");
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(headers: &[(HeaderName, &'static str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        credential(&headers).map(str::to_owned)
    }

    #[test]
    fn a_credential_is_a_bearer_token_or_an_api_key() {
        assert_eq!(sent(&[(AUTHORIZATION, "bearer  token ")]).as_deref(), Some("token"));
        assert_eq!(sent(&[(AUTHORIZATION, "Bearer sfr_1")]).as_deref(), Some("sfr_1"));
        assert_eq!(sent(&[(X_API_KEY, "sfr_1")]).as_deref(), Some("sfr_1"));
        assert_eq!(sent(&[(AUTHORIZATION, "Basic dTpw"), (X_API_KEY, "sfr_1")]), None);
        assert_eq!(sent(&[(X_API_KEY, "eyJ.a.token")]), None);
        assert_eq!(sent(&[(AUTHORIZATION, "Bearer")]), None);
        assert_eq!(sent(&[]), None);
    }
}

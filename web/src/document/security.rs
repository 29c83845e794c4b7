//! Who may ask.

use utoipa::openapi::{
    Components,
    path::Operation,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::auth::X_API_KEY;

/// An access token or an API key as `Authorization: Bearer`.
const BEARER: &str = "bearer";

/// An API key in a header of its own.
const API_KEY: &str = "api_key";

pub(super) fn describe(components: &mut Components) {
    let http =
        |text| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build());
    let key = ApiKeyValue::with_description(X_API_KEY.as_str(), "A personal API key (`sfr_…`), from `/auth/keys`.");
    let schemes = [
        (BEARER, http("An access token from `/auth/login`, or a personal API key (`sfr_…`).")),
        ("access_token", http("An access token from `/auth/login`; an API key is refused.")),
        (API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key))),
    ];
    for (name, scheme) in schemes {
        components.add_security_scheme(name, scheme);
    }
}

/// Whoever does not say otherwise asks for a token or a key.
pub(super) fn guard(operation: &mut Operation) {
    let scheme = |name| SecurityRequirement::new(name, [""; 0]);
    let any = operation.security.get_or_insert_with(|| vec![scheme(BEARER), scheme(API_KEY)]);
    // `security(())`: nobody is asked.
    any.retain(|requirement| *requirement != SecurityRequirement::default());
}

pub(super) fn is_guarded(operation: &Operation) -> bool {
    operation.security.iter().flatten().next().is_some()
}

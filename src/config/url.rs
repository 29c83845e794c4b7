//! URLs that may hold a password.

use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::MASK;

/// A URL that may hold a password: it is shown masked, and in full only by [`SecretUrl::expose`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(SecretString);

impl SecretUrl {
    /// The embedded database in `data_dir`.
    pub fn embedded(data_dir: &Path) -> Self {
        let path = data_dir.join("safire.db").to_string_lossy().into_owned();
        let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        Self::from(format!("sqlite://{path}"))
    }

    /// The URL with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for SecretUrl {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = mask_password(self.expose());
        let Some((address, query)) = url.split_once('?') else {
            return f.write_str(&url);
        };
        let parameters: Vec<String> = query.split('&').map(mask_parameter).collect();
        write!(f, "{address}?{}", parameters.join("&"))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Masks from the first colon after the scheme to the last `@` of all: a password may hold an
/// unescaped `@`, `/` or `?`, and masking too much does no harm.
fn mask_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url.rfind('@').unwrap_or(start).max(start);
    match url[start..end].find(':') {
        Some(colon) => format!("{}:{MASK}{}", &url[..start + colon], &url[end..]),
        None => url.to_owned(),
    }
}

/// Masks a parameter that is named like a secret, or whose name is escaped.
fn mask_parameter(parameter: &str) -> String {
    let Some((name, _)) = parameter.split_once('=') else {
        return parameter.to_owned();
    };
    let lower = name.to_lowercase();
    let secret = ["pass", "secret", "token", "%"].iter().any(|part| lower.contains(part));
    if secret { format!("{name}={MASK}") } else { parameter.to_owned() }
}

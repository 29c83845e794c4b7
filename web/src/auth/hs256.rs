//! The cryptography of tokens, HS256 and nothing else, by the HMAC that refresh tokens are made with:
//! what jsonwebtoken comes with brings a second TLS library's, or RSA.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{self, Signer, Verifier},
};
use sha2::Sha256;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.family(), key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.family(), key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this what the process signs and verifies tokens by.
pub(super) fn install() {
    // Only the first one is taken, and all are the same.
    let _ = PROVIDER.install_default();
}

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: &Algorithm, family: AlgorithmFamily, secret: &[u8]) -> Result<Self> {
        if (algorithm, family) != (&Algorithm::HS256, AlgorithmFamily::Hmac) {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Self(Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?))
    }

    fn of(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(self.of(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        self.of(message).verify_slice(signature).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{
        DecodingKey, EncodingKey,
        crypto::{sign, verify},
    };

    use super::*;

    /// RFC 7515, appendix A.1.
    const KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    const SIGNED: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn it_signs_and_verifies_as_the_standard_does() {
        install();
        let signature = sign(SIGNED.as_bytes(), &EncodingKey::from_base64_secret(KEY).unwrap(), Algorithm::HS256);
        assert_eq!(signature.unwrap(), SIGNATURE);
        let key = DecodingKey::from_base64_secret(KEY).unwrap();
        let verifies = |message: &str| verify(SIGNATURE, message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert!(verifies(SIGNED));
        assert!(!verifies(&format!("{SIGNED}x")));
    }

    #[test]
    fn it_refuses_every_other_algorithm_and_every_other_kind_of_key() {
        install();
        let secret = EncodingKey::from_secret(b"a secret");
        for other in [Algorithm::HS384, Algorithm::HS512, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            assert!(sign(b"a message", &secret, other).is_err(), "{other:?}");
            assert!(verify("", b"a message", &DecodingKey::from_secret(b"a secret"), other).is_err(), "{other:?}");
        }
        assert!(sign(b"a message", &EncodingKey::from_ed_der(b"a key"), Algorithm::HS256).is_err());
        assert!(verify("", b"a message", &DecodingKey::from_ed_der(b"a key"), Algorithm::HS256).is_err());
    }
}

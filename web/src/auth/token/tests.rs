use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use safire_domain::{
    Timestamp, UserId,
    name::{GlobalId, Name},
    user::Role,
};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::*;
use crate::auth::secret::{new_api_key, new_refresh_token};

const SECRET: &str = "a secret of more than thirty-two bytes";

pub(in crate::auth) fn settings() -> Settings {
    Settings {
        secret: SECRET.into(),
        previous_secrets: Vec::new(),
        access_token_life: TimeDelta::minutes(30),
        refresh_token_life: TimeDelta::days(30),
        memory_kib: 8,
        iterations: 1,
        permits: 2,
    }
}

fn tokens() -> Tokens {
    Tokens::new(&settings())
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn user() -> User {
    let id = UserId::new(now());
    User {
        id,
        global_id: GlobalId::from(id),
        name: Name::try_from("Ana".to_owned()).unwrap(),
        email: None,
        role: Role::Analyst,
        zone_id: None,
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": user().id,
        "iat": now().timestamp(), "exp": now().timestamp() + 1800,
    })
}

fn header() -> Header {
    Header { typ: Some(TYPE.into()), kid: Some(tokens().keys[0].id.clone()), ..Header::new(Algorithm::HS256) }
}

fn signed(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn with(mut claims: Value, field: &str, value: Value) -> Value {
    claims[field] = value;
    claims
}

fn without(mut claims: Value, field: &str) -> Value {
    claims.as_object_mut().unwrap().remove(field);
    claims
}

fn session() -> SessionId {
    uuid::Uuid::nil().into()
}

fn accepted(token: &str) -> bool {
    tokens().read(token, now()).is_ok()
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token whose header says `algorithm`, and that is signed by `M`.
fn signed_by<M: Mac + KeyInit>(algorithm: &str) -> String {
    let header = json!({ "alg": algorithm, "typ": TYPE, "kid": header().kid });
    let message = format!("{}.{}", part(&header), part(&claims()));
    let mac = <M as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&message);
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn a_token_of_this_service_is_read_until_five_seconds_after_its_end() {
    let user = user();
    let (token, seconds) = tokens().issue(&user, session(), now()).unwrap();
    let at = |second| tokens().read(&token, now() + TimeDelta::seconds(second));
    assert_eq!((at(0).unwrap().user, at(0).unwrap().session), (user.id, Some(session())));
    assert!(at(seconds + 4).is_ok());
    assert!(at(seconds + 5).is_err());
    assert!(accepted(&signed(&header(), &claims(), SECRET)));
}

#[test]
fn a_token_signed_by_a_previous_key_is_read_until_that_key_is_removed() {
    let (token, _) = tokens().issue(&user(), session(), now()).unwrap();
    let secret = SecretString::from("the next secret, of more than thirty-two bytes");
    let rotated = Settings { secret, previous_secrets: vec![SECRET.into()], ..settings() };
    assert!(Tokens::new(&rotated).read(&token, now()).is_ok());
    let (newer, _) = Tokens::new(&rotated).issue(&user(), session(), now()).unwrap();
    assert!(!accepted(&newer));
    let removed = Settings { previous_secrets: Vec::new(), ..rotated };
    assert!(Tokens::new(&removed).read(&token, now()).is_err());
}

#[test]
fn no_other_algorithm_is_accepted() {
    assert!(accepted(&signed_by::<Hmac<Sha256>>("HS256")));
    assert!(!accepted(&signed_by::<Hmac<Sha384>>("HS384")));
    assert!(!accepted(&signed_by::<Hmac<Sha512>>("HS512")));
    let signature = signed(&header(), &claims(), SECRET).rsplit('.').next().unwrap().to_owned();
    for algorithm in ["none", "None", "NONE", "RS256", "RS512", "ES256", "PS256", "EdDSA", "HS1", ""] {
        let header = part(&json!({ "alg": algorithm, "typ": TYPE, "kid": header().kid }));
        let payload = part(&claims());
        for signature in ["", signature.as_str(), "AAAA"] {
            assert!(!accepted(&format!("{header}.{payload}.{signature}")), "{algorithm} {signature}");
        }
        assert!(!accepted(&format!("{header}.{payload}")), "{algorithm}");
    }
}

#[test]
fn a_signature_by_hmac_under_a_header_that_says_rsa_is_refused() {
    let hs = signed(&header(), &claims(), SECRET);
    let (_, rest) = hs.split_once('.').unwrap();
    let rsa = part(&json!({ "alg": "RS256", "typ": TYPE, "kid": header().kid }));
    assert!(!accepted(&format!("{rsa}.{rest}")));
}

#[test]
fn what_was_made_for_or_by_somebody_else_is_refused() {
    for (field, value) in [
        ("iss", json!("other")),
        ("iss", json!(["other", ISSUER])),
        ("aud", json!("other-api")),
        ("aud", json!(null)),
        ("sub", json!("admin")),
        ("sub", json!("")),
        ("exp", json!("never")),
        ("exp", json!(null)),
        ("exp", json!(now().timestamp() - 5)),
        ("exp", json!(i64::MIN)),
    ] {
        assert!(!accepted(&signed(&header(), &with(claims(), field, value.clone()), SECRET)), "{field}: {value}");
    }
    for field in ["iss", "aud", "sub", "exp"] {
        assert!(!accepted(&signed(&header(), &without(claims(), field), SECRET)), "without {field}");
    }
}

#[test]
fn an_unknown_a_missing_and_a_foreign_key_are_refused() {
    for kid in [None, Some(String::new()), Some("0123456789abcdef".into()), Some("../../dev/null".into())] {
        assert!(!accepted(&signed(&Header { kid: kid.clone(), ..header() }, &claims(), SECRET)), "{kid:?}");
    }
    assert!(!accepted(&signed(&header(), &claims(), "another secret of thirty-two bytes or more")));
    assert!(!accepted(&signed(&header(), &claims(), "")));
}

#[test]
fn a_token_of_another_type_is_refused() {
    for typ in [None, Some("JWT"), Some("refresh"), Some("AT+JWT ")] {
        assert!(!accepted(&signed(&Header { typ: typ.map(str::to_owned), ..header() }, &claims(), SECRET)), "{typ:?}");
    }
    assert!(!accepted(&new_refresh_token()));
    assert!(!accepted(&new_api_key().0));
}

#[test]
fn a_token_that_was_cut_or_altered_is_refused() {
    let token = signed(&header(), &claims(), SECRET);
    for end in 0..token.len() {
        assert!(!accepted(&token[..end]), "cut at {end}");
    }
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = part(&with(claims(), "sub", json!(UserId::new(now()))));
    assert!(!accepted(&format!("{header}.{other}.{signature}")));
    for index in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(!accepted(&altered), "altered at {index}");
    }
    for text in [format!("{token}."), format!("{token}.x"), format!(".{token}"), token.replace('.', "..")] {
        assert!(!accepted(&text), "{text}");
    }
}

#[test]
fn what_is_no_token_at_all_is_refused() {
    let long = "a".repeat(100_000);
    for text in ["", ".", "..", "...", "null", "{}", "a.b.c", "\0.\0.\0", "é.é.é", long.as_str()] {
        assert!(!accepted(text), "{text:.20}");
    }
}

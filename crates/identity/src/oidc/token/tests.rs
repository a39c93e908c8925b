//! ID tokens signed here, one thing wrong with each.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use serde_json::json;

use super::super::keys::KeySet;
use super::*;
use crate::principal::NameError;

const ISSUER: &str = "https://id.example.com";
const NOW: i64 = 1_800_000_000;
const NONCE: &str = "the nonce of this login";

/// Keys are made once: an RSA key takes a while.
struct Keys {
    rsa: RsaKeyPair,
    weak: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    weak: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed25519: Ed25519KeyPair::generate().unwrap(),
});

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_jwk(key: &RsaKeyPair, kid: &str) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
    json!({ "kty": "RSA", "kid": kid, "use": "sig", "n": b64(public.n), "e": b64(public.e) })
}

fn jwks() -> Vec<Value> {
    let keys = &*KEYS;
    let point = keys.p256.public_key().as_ref();
    vec![
        rsa_jwk(&keys.rsa, "rsa"),
        json!({ "kty": "EC", "kid": "ec", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..65]) }),
        json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": b64(keys.ed25519.public_key()) }),
        json!({ "kty": "oct", "kid": "oct", "k": b64("secret") }),
    ]
}

fn key_set(jwks: Vec<Value>) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn config() -> OidcConfig {
    toml::from_str(&format!("issuer = \"{ISSUER}\"\nclient_id = \"cli\"")).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "4711", "aud": "cli", "exp": NOW + 300, "iat": NOW - 5, "nonce": NONCE,
        "email": "Alice@Example.com", "email_verified": true, "groups": ["eng", "dba", "eng"],
    })
}

fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "kid": kid, "typ": "JWT" })
}

fn sign_with(header: &Value, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims));
    let signature = b64(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn rsa_signature(message: &[u8], key: &RsaKeyPair, how: &'static dyn signature::RsaEncoding) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(how, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn rs256(claims: &Value) -> String {
    rs256_text(&claims.to_string())
}

fn rs256_text(claims: &str) -> String {
    sign_with(&header("RS256", "rsa"), claims, |m| {
        rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
    })
}

fn es256(kid: &str, claims: &Value) -> String {
    sign_with(&header("ES256", kid), &claims.to_string(), |m| {
        KEYS.p256.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec()
    })
}

fn check_with(token: &str, keys: &KeySet, config: &OidcConfig) -> Result<Vouched, TokenFault> {
    let unverified = Unverified::parse(token, config)?;
    let key = keys.find(unverified.kid.as_deref(), unverified.algorithm)?;
    {
        let begun = Begun {
            nonce: NONCE,
            at: at(NOW - 10),
        };
        unverified.verify(key, config, &begun, at(NOW))
    }
}

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap()
}

fn check(token: &str) -> Result<Vouched, TokenFault> {
    check_with(token, &key_set(jwks()), &config())
}

/// The result for good claims with some changed; `null` removes one.
fn with(changes: Value) -> Result<Vouched, TokenFault> {
    check(&rs256(&changed(changes)))
}

fn changed(changes: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn outcome(result: Result<Vouched, TokenFault>) -> Result<(), TokenFault> {
    result.map(drop)
}

#[test]
fn good_tokens_of_every_accepted_algorithm() {
    let eddsa = sign_with(&header("EdDSA", "ed"), &claims().to_string(), |m| {
        KEYS.ed25519.sign(m).as_ref().to_vec()
    });
    for token in [rs256(&claims()), es256("ec", &claims()), eddsa] {
        let vouched = check(&token).unwrap();
        assert_eq!(
            (vouched.id.as_str(), vouched.subject.as_str()),
            ("alice@example.com", "4711")
        );
        assert_eq!(vouched.email.as_deref(), Some("alice@example.com"));
        assert_eq!(*vouched.groups, ["dba", "eng"].map(SmolStr::from));
    }
}

#[test]
fn no_signature_is_no_signature_in_any_spelling() {
    for alg in ["none", "None", "nOnE", "", "NONE ", "HS256"] {
        for signature in ["", "AAAA"] {
            let token = format!(
                "{}.{}.{signature}",
                b64(header(alg, "rsa").to_string()),
                b64(claims().to_string())
            );
            assert!(matches!(check(&token), Err(TokenFault::Algorithm(_))), "{alg}");
        }
    }
    let stripped = rs256(&claims());
    let stripped = stripped.rsplit_once('.').unwrap().0;
    assert_eq!(outcome(check(&format!("{stripped}."))), Err(TokenFault::Signature));
    assert!(matches!(check(stripped), Err(TokenFault::Malformed(_))));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let jwk = rsa_jwk(&KEYS.rsa, "rsa").to_string();
    let modulus = PublicKeyComponents::<Vec<u8>>::from(KEYS.rsa.public_key()).n;
    let spki = KEYS.rsa.public_key().as_ref().to_vec();
    for secret in [jwk.into_bytes(), modulus, spki] {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        for alg in ["HS256", "RS256"] {
            let token = sign_with(&header(alg, "rsa"), &claims().to_string(), |m| {
                hmac::sign(&mac, m).as_ref().to_vec()
            });
            assert!(check(&token).is_err());
        }
    }
    // Not even a symmetric key that the provider publishes, with an operator who allows it by mistake.
    let mut lax = config();
    lax.algorithms.push("HS256".to_owned());
    let mac = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    let token = sign_with(&header("HS256", "oct"), &claims().to_string(), |m| {
        hmac::sign(&mac, m).as_ref().to_vec()
    });
    assert!(matches!(
        check_with(&token, &key_set(jwks()), &lax),
        Err(TokenFault::Algorithm(_))
    ));
}

#[test]
fn the_type_of_the_key_decides() {
    let rsa_as_ec = sign_with(&header("ES256", "rsa"), &claims().to_string(), |m| {
        rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
    });
    assert_eq!(outcome(check(&rsa_as_ec)), Err(TokenFault::UnknownKey));
    let pss = sign_with(&header("PS256", "rsa"), &claims().to_string(), |m| {
        rsa_signature(m, &KEYS.rsa, &RSA_PSS_SHA256)
    });
    assert!(matches!(check(&pss), Err(TokenFault::Algorithm(_))), "not configured");
    let mut with_pss = config();
    with_pss.algorithms.push("PS256".to_owned());
    check_with(&pss, &key_set(jwks()), &with_pss).unwrap();
    let pss_as_pkcs1 = sign_with(&header("RS256", "rsa"), &claims().to_string(), |m| {
        rsa_signature(m, &KEYS.rsa, &RSA_PSS_SHA256)
    });
    assert_eq!(outcome(check(&pss_as_pkcs1)), Err(TokenFault::Signature));
}

#[test]
fn signatures_of_nothing_and_of_other_curves() {
    for psychic in [
        vec![0; 64],
        vec![0xff; 64],
        vec![0; 0],
        vec![0; 63],
        vec![0x30, 0x06, 2, 1, 0, 2, 1, 0],
    ] {
        let token = sign_with(&header("ES256", "ec"), &claims().to_string(), |_| psychic);
        assert_eq!(outcome(check(&token)), Err(TokenFault::Signature));
    }
    // A P-384 key, labelled as what it is, or as P-256.
    let point = KEYS.p384.public_key().as_ref();
    for curve in ["P-384", "P-256"] {
        let jwk = json!({ "kty": "EC", "kid": "ec", "crv": curve, "x": b64(&point[1..49]), "y": b64(&point[49..97]) });
        let token = sign_with(&header("ES256", "ec"), &claims().to_string(), |m| {
            KEYS.p384.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec()
        });
        assert!(check_with(&token, &key_set(vec![jwk]), &config()).is_err(), "{curve}");
    }
    // A P-256 key labelled as P-384 is no key.
    let mut mislabelled = jwks();
    mislabelled[1]["crv"] = json!("P-384");
    let fault = outcome(check_with(&es256("ec", &claims()), &key_set(mislabelled), &config()));
    assert_eq!(fault, Err(TokenFault::UnknownKey));
}

#[test]
fn one_changed_byte_is_another_token() {
    let token = rs256(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut forged = changed(json!({ "email": "root@example.com" })).to_string();
    forged = format!("{}.{}.{signature}", signed.split_once('.').unwrap().0, b64(forged));
    assert_eq!(outcome(check(&forged)), Err(TokenFault::Signature));
    let other_key = sign_with(&header("RS256", "rsa"), &claims().to_string(), |m| {
        rsa_signature(m, &KEYS.weak, &RSA_PKCS1_SHA256)
    });
    assert_eq!(outcome(check(&other_key)), Err(TokenFault::Signature));
}

#[test]
fn the_name_of_a_key_is_only_looked_up() {
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "https://evil.test/jwks",
        "RSA",
        "rsa\0",
        "",
    ] {
        let token = sign_with(&header("RS256", kid), &claims().to_string(), |m| {
            rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
        });
        assert_eq!(outcome(check(&token)), Err(TokenFault::UnknownKey), "{kid}");
    }
    let long = sign_with(&header("RS256", &"k".repeat(10_000)), "{}", |_| vec![]);
    assert!(matches!(check(&long), Err(TokenFault::Malformed(_))));
    let huge = sign_with(&header("RS256", &"k".repeat(10 << 20)), "{}", |_| vec![]);
    assert!(matches!(check(&huge), Err(TokenFault::Malformed(_))));

    // Two keys of one name could be either: none is taken.
    let mut twice = jwks();
    twice.push(rsa_jwk(&KEYS.weak, "rsa"));
    let fault = outcome(check_with(&rs256(&claims()), &key_set(twice), &config()));
    assert_eq!(fault, Err(TokenFault::UnknownKey));
    // Without a name there must be one key that fits.
    let mut unnamed = header("RS256", "");
    unnamed.as_object_mut().unwrap().remove("kid");
    let token = sign_with(&unnamed, &claims().to_string(), |m| {
        rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
    });
    check(&token).unwrap();
    let two = vec![rsa_jwk(&KEYS.rsa, "a"), rsa_jwk(&KEYS.weak, "b")];
    assert_eq!(
        outcome(check_with(&token, &key_set(two), &config())),
        Err(TokenFault::UnknownKey)
    );
}

#[test]
fn keys_for_other_purposes_are_not_keys() {
    for change in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "alg": "RSA-OAEP" }),
        json!({ "alg": "PS256" }),
    ] {
        let mut keys = jwks();
        for (name, value) in change.as_object().unwrap() {
            keys[0][name] = value.clone();
        }
        let fault = outcome(check_with(&rs256(&claims()), &key_set(keys), &config()));
        assert_eq!(fault, Err(TokenFault::UnknownKey), "{change}");
    }
    for poisoned in ["<html>503</html>", "{}", "[]", "", "{\"keys\":{}}"] {
        assert!(KeySet::parse(poisoned.as_bytes()).is_err(), "{poisoned}");
    }
    let many: Vec<Value> = (0..65).map(|n| json!({ "kty": "RSA", "kid": n.to_string() })).collect();
    assert!(KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).is_err());
}

#[test]
fn headers_that_bring_their_own_key_or_rules_are_refused() {
    for (name, value) in [
        ("jku", json!("https://evil.test/jwks")),
        ("x5u", json!("https://evil.test/cert")),
        ("jwk", rsa_jwk(&KEYS.rsa, "rsa")),
        ("crit", json!(["exp"])),
        ("crit", Value::Null),
        ("b64", json!(false)),
    ] {
        let mut own = header("RS256", "rsa");
        own[name] = value;
        let token = sign_with(&own, &claims().to_string(), |m| {
            rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
        });
        assert_eq!(outcome(check(&token)), Err(TokenFault::Header(name)));
    }
}

#[test]
fn other_kinds_of_tokens_are_not_id_tokens() {
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", "JOSE"] {
        let mut own = header("RS256", "rsa");
        own["typ"] = json!(typ);
        let token = sign_with(&own, &claims().to_string(), |m| {
            rsa_signature(m, &KEYS.rsa, &RSA_PKCS1_SHA256)
        });
        assert_eq!(outcome(check(&token)), Err(TokenFault::Kind), "{typ}");
    }
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for claims in [
        json!({ "typ": "Bearer" }),
        json!({ "token_use": "access" }),
        json!({ "events": logout }),
    ] {
        assert_eq!(outcome(with(claims)), Err(TokenFault::Kind));
    }
    with(json!({ "typ": "ID", "token_use": "id" })).unwrap();
}

#[test]
fn the_issuer_is_compared_exactly() {
    for iss in [
        "https://id.example.com/",
        "https://ID.example.com",
        "http://id.example.com",
        "https://id.example.com:443",
        "https://id.exаmple.com",
        "https://id.example.com/{tenantid}",
        "https://evil.test",
        "",
    ] {
        assert_eq!(outcome(with(json!({ "iss": iss }))), Err(TokenFault::Issuer), "{iss}");
    }
    assert!(matches!(with(json!({ "iss": null })), Err(TokenFault::Malformed(_))));
    assert!(matches!(
        with(json!({ "iss": [ISSUER] })),
        Err(TokenFault::Malformed(_))
    ));
}

#[test]
fn the_audience_is_us_and_who_asked_is_us() {
    for (aud, azp) in [
        (json!("other"), Value::Null),
        (json!("CLI"), Value::Null),
        (json!(""), Value::Null),
        (json!([]), Value::Null),
        (json!(["other"]), json!("cli")),
        (json!(["cli", "other"]), Value::Null),
        (json!(["cli", "cli"]), Value::Null),
        (json!(["cli", "other"]), json!("other")),
        (json!("cli"), json!("other")),
    ] {
        let fault = outcome(with(json!({ "aud": aud, "azp": azp })));
        assert_eq!(fault, Err(TokenFault::Audience), "{aud} {azp}");
    }
    for (aud, azp) in [(json!(["cli"]), Value::Null), (json!(["other", "cli"]), json!("cli"))] {
        with(json!({ "aud": aud, "azp": azp })).unwrap();
    }
    assert!(matches!(with(json!({ "aud": null })), Err(TokenFault::Malformed(_))));
}

#[test]
fn times_hold_with_a_minute_of_skew_and_not_a_second_more() {
    for (claims, fault) in [
        (json!({ "exp": NOW - 60 }), Some(TokenFault::Expired)),
        (json!({ "exp": NOW - 59 }), None),
        (json!({ "exp": 0 }), Some(TokenFault::Expired)),
        (json!({ "exp": -1 }), Some(TokenFault::Expired)),
        (json!({ "iat": NOW + 61 }), Some(TokenFault::NotYet)),
        (json!({ "iat": NOW + 60 }), None),
        (json!({ "nbf": NOW + 61 }), Some(TokenFault::NotYet)),
        (json!({ "nbf": NOW + 60 }), None),
        (json!({ "exp": NOW as f64 + 0.5 }), None),
    ] {
        assert_eq!(outcome(with(claims.clone())).err(), fault, "{claims}");
    }
    for claims in [
        json!({ "exp": NOW + 90_000 }),
        json!({ "exp": 9_000_000_000_000_i64 }),
        json!({ "iat": NOW - 90_000, "exp": NOW + 10 }),
    ] {
        assert!(matches!(with(claims), Err(TokenFault::Claim { .. })));
    }
    for claims in [
        json!({ "exp": null }),
        json!({ "iat": null }),
        json!({ "exp": (NOW + 300).to_string() }),
        json!({ "exp": 1e300 }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": i64::MIN }),
        json!({ "nbf": "soon" }),
    ] {
        assert!(
            matches!(with(claims.clone()), Err(TokenFault::Malformed(_))),
            "{claims}"
        );
    }
}

#[test]
fn the_nonce_is_that_of_this_login() {
    for nonce in [
        Value::Null,
        json!(""),
        json!("another"),
        json!("the nonce of this login "),
    ] {
        assert_eq!(
            outcome(with(json!({ "nonce": nonce }))),
            Err(TokenFault::Nonce),
            "{nonce}"
        );
    }
    let mut device = config();
    device.device = true;
    let result = |changes| outcome(check_with(&rs256(&changed(changes)), &key_set(jwks()), &device));
    assert_eq!(result(json!({ "nonce": null })), Ok(()));
    assert_eq!(result(json!({ "nonce": null, "iat": NOW - 70 })), Ok(()));
    assert_eq!(
        result(json!({ "nonce": null, "iat": NOW - 71 })),
        Err(TokenFault::Nonce)
    );
    assert_eq!(result(json!({ "nonce": "another" })), Err(TokenFault::Nonce));
}

#[test]
fn a_claim_that_is_there_twice_is_believed_neither_time() {
    let text = claims().to_string();
    for (claim, value) in [
        ("sub", "\"0\""),
        ("iss", "\"https://id.example.com\""),
        ("email", "\"a@b\""),
        ("exp", "1"),
    ] {
        let twice = text.replacen('{', &format!("{{\"{claim}\":{value},"), 1);
        assert!(
            matches!(check(&rs256_text(&twice)), Err(TokenFault::Malformed(_))),
            "{claim}"
        );
    }
}

#[test]
fn subjects_are_opaque_but_must_be_there() {
    for sub in [json!(""), json!("x".repeat(256))] {
        assert!(matches!(with(json!({ "sub": sub })), Err(TokenFault::Claim { .. })));
    }
    assert!(matches!(with(json!({ "sub": null })), Err(TokenFault::Malformed(_))));
    assert!(matches!(with(json!({ "sub": 4711 })), Err(TokenFault::Malformed(_))));
    assert_eq!(with(json!({ "sub": "a|b/c#d e" })).unwrap().subject, "a|b/c#d e");
}

#[test]
fn an_address_counts_only_when_it_is_verified() {
    for verified in [json!(false), Value::Null, json!("true"), json!(1)] {
        let fault = with(json!({ "email_verified": verified }));
        assert!(matches!(fault, Err(TokenFault::Claim { .. })), "{verified}");
    }
    let mut by_name = config();
    by_name.user_claim = "preferred_username".to_owned();
    let token = rs256(&changed(
        json!({ "preferred_username": "alice", "email_verified": false }),
    ));
    let vouched = check_with(&token, &key_set(jwks()), &by_name).unwrap();
    assert_eq!((vouched.id.as_str(), vouched.email), ("alice", None));
    for name in ["", "al ice", "alice\u{202e}", "-alice", "аlice", "alice\n"] {
        let token = rs256(&changed(json!({ "preferred_username": name })));
        let fault = outcome(check_with(&token, &key_set(jwks()), &by_name));
        assert!(
            matches!(fault, Err(TokenFault::Name(NameError::Principal(_)))),
            "{name:?}"
        );
    }
    assert!(matches!(
        check_with(&rs256(&claims()), &key_set(jwks()), &by_name),
        Err(TokenFault::Claim { .. })
    ));
}

#[test]
fn groups_are_found_bounded_and_mapped() {
    let groups = |path: &str, changes: Value| {
        let mut config = config();
        config.groups_claim = path.to_owned();
        check_with(&rs256(&changed(changes)), &key_set(jwks()), &config)
            .map(|v| v.groups.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(groups("groups", json!({ "groups": null })).unwrap(), [""; 0]);
    assert_eq!(groups("groups", json!({ "groups": "one" })).unwrap(), ["one"]);
    assert_eq!(groups("", json!({})).unwrap(), [""; 0]);
    let nested = json!({ "resource_access": { "cli": { "roles": ["dba"] } } });
    assert_eq!(groups("resource_access.cli.roles", nested).unwrap(), ["dba"]);
    let dotted = json!({ "https://example.com/groups": ["dba"] });
    assert_eq!(groups("https://example.com/groups", dotted).unwrap(), ["dba"]);
    for wrong in [json!(["a", 1]), json!({ "a": 1 }), json!(true), json!([["a"]])] {
        assert!(matches!(
            groups("groups", json!({ "groups": wrong })),
            Err(TokenFault::Claim { .. })
        ));
    }
    let many: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    let too_many = groups("groups", json!({ "groups": many }));
    assert!(matches!(too_many, Err(TokenFault::Name(NameError::TooManyGroups(257)))));
    assert!(matches!(
        groups("groups", json!({ "groups": ["a\nb"] })),
        Err(TokenFault::Name(_))
    ));
    let elsewhere = json!({ "groups": null, "_claim_names": { "groups": "src1" } });
    assert!(matches!(groups("groups", elsewhere), Err(TokenFault::Claim { .. })));

    let mut mapped = config();
    mapped.group_map = [("5f1c".to_owned(), "dba".to_owned())].into();
    let token = rs256(&changed(json!({ "groups": ["5f1c", "admins", "dba-fans"] })));
    let vouched = check_with(&token, &key_set(jwks()), &mapped).unwrap();
    assert_eq!(*vouched.groups, ["dba"].map(SmolStr::from));
}

#[test]
fn how_and_when_somebody_signed_in_can_be_asked_for() {
    let mut strict = config();
    strict.acr = vec!["phr".to_owned(), "phrh".to_owned()];
    strict.max_age_s = Some(600);
    let result = |changes| outcome(check_with(&rs256(&changed(changes)), &key_set(jwks()), &strict));
    assert_eq!(result(json!({ "acr": "phr", "auth_time": NOW - 600 })), Ok(()));
    for changes in [
        json!({ "acr": "phr" }),
        json!({ "acr": "phr", "auth_time": NOW - 661 }),
        json!({ "acr": "phr", "auth_time": NOW + 61 }),
        json!({ "acr": "1", "auth_time": NOW }),
        json!({ "auth_time": NOW }),
    ] {
        assert!(
            matches!(result(changes.clone()), Err(TokenFault::SignIn(_))),
            "{changes}"
        );
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "e30.e30.",
        "{}.{}.{}",
        "e30=.e30=.AA==",
        "\u{0}.\u{0}.\u{0}",
    ] {
        assert!(matches!(check(text), Err(TokenFault::Malformed(_))), "{text}");
    }
}

#[test]
fn a_short_rsa_key_is_not_enough() {
    // 1024 bits, a modulus of ones: whatever the signature, the key must not be used.
    let mut jwk = rsa_jwk(&KEYS.rsa, "rsa");
    jwk["n"] = json!(b64(vec![0xff; 128]));
    let token = sign_with(&header("RS256", "rsa"), &claims().to_string(), |_| vec![0; 128]);
    assert_eq!(
        outcome(check_with(&token, &key_set(vec![jwk]), &config())),
        Err(TokenFault::Signature)
    );
}

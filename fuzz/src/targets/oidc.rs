//! What an OpenID provider says, or somebody who plays one, is understood or refused: no token counts that the provider's
//! key did not sign, and one that counts names somebody, in bounds, for this login.

use std::sync::OnceLock;

use sallyport_identity::oidc::{OidcConfig, testing};
use sallyport_identity::{MAX_GROUPS, check_id};

fn config() -> &'static OidcConfig {
    static CONFIG: OnceLock<OidcConfig> = OnceLock::new();
    CONFIG.get_or_init(|| testing::config().unwrap())
}

/// One input.
pub fn run(data: &[u8]) {
    let [what, data @ ..] = data else { return };
    match what % 4 {
        0 => drop(testing::key_set(data)),
        1 => drop(testing::discovery(data)),
        2 => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            assert!(testing::token(text, config()).is_err(), "nobody signed this");
        }
        _ => claims(data),
    }
}

fn claims(data: &[u8]) {
    let Ok((id, email, groups)) = testing::claims(data, config()) else {
        return;
    };
    assert!(check_id(&id).is_ok());
    assert!(groups.len() <= MAX_GROUPS);
    let claims: serde_json::Value = serde_json::from_slice(data).unwrap();
    assert_eq!(claims["iss"], "https://id.example.com");
    assert_eq!(claims["sub"], id.as_str());
    assert!(claims["exp"].as_f64().unwrap() > (testing::NOW - 61) as f64);
    assert!(
        claims
            .get("nonce")
            .is_none_or(|nonce| nonce.is_null() || nonce == testing::NONCE)
    );
    assert!(email.is_none() || claims["email_verified"] == true);
}

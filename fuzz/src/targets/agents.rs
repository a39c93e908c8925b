//! What somebody who wants to be an agent shows is understood or refused: no document counts that its signer did not sign as
//! it is, no request whose maker has not the key, and names are plain.

use std::sync::OnceLock;

use sallyport_identity::agents::{check_agent_name, testing};
use secrecy::ExposeSecret;

/// A signed document with its signer's certificate, and a request for a certificate. `cargo xtask fuzz` starts from them, too.
const DOCUMENT: &[u8] = include_bytes!("../../seeds/agents/document");
const CERTIFICATE: &[u8] = include_bytes!("../../agents.der");

/// One input.
pub fn run(data: &[u8]) {
    let [what, data @ ..] = data else { return };
    match what % 4 {
        0 => {
            if let Some(content) = testing::document(data, CERTIFICATE) {
                assert_eq!(content, content_of_the_seed(), "nobody signed this");
            }
        }
        1 => {
            let _signed = testing::request(data);
        }
        2 => {
            if let Some(name) = testing::named(data) {
                assert!(check_agent_name(&name).is_ok());
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            if let Some(token) = testing::token(text) {
                assert_eq!(token.text().expose_secret(), text);
            }
        }
    }
}

fn content_of_the_seed() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let signed = DOCUMENT.split_first().and_then(|(_, der)| testing::document(der, CERTIFICATE));
        signed.unwrap()
    })
}

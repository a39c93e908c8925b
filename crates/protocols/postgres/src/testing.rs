//! For the fuzzers: the pure parts of the protocol, without sockets. Never part of a gateway.

use std::sync::Arc;

use sallyport_mask::MaskKey;
use sallyport_policy::Classification;
use sallyport_session::Reveals;
use sallyport_sql::{Catalog, SessionState};

use crate::conversation::{Masks, PostgresConversation, Scope, SharedNames, Start};
use crate::dial::scram::{Binding, First, Keys};
use crate::settings::Settings;
use crate::wire::Limits;
use crate::{conversation, parameters, refuse};

pub use crate::dial::ScramError;

/// The name of the gateway's own statements and portals.
pub const OWN_NAME: &str = "own name";

/// A machine of a session that has just begun: nothing is known of the target yet.
#[must_use]
pub fn conversation(classification: &Arc<Classification>, reveals: Arc<Reveals>) -> PostgresConversation {
    let key = MaskKey::new(&secrecy::SecretBox::new(vec![7; 32].into_boxed_slice()));
    PostgresConversation::new(Start {
        veiled: None,
        scope: Scope::new(Arc::new(SharedNames::default()), OWN_NAME),
        settings: Settings::default(),
        masks: Masks::new(reveals, classification, Arc::new(key)),
        database: "orders".into(),
        limits: Limits::default(),
        walsender: None,
    })
}

/// The statements that the gateway sends of its own accord: its questions about names, and what stands for a refused
/// message. Each reads only.
pub fn own_statements() -> impl Iterator<Item = &'static str> {
    let questions = [
        SessionState::QUERY,
        conversation::SETTINGS_QUERY,
        conversation::PREPARED_QUERY,
        Catalog::fingerprint_query(),
        refuse::POISON,
    ];
    questions
        .into_iter()
        .chain(Catalog::QUERIES.iter().map(|query| query.sql))
}

/// The parameters of a `Bind` message's body in words, as a reviewer sees them.
#[must_use]
pub fn readable(bind: &[u8], portal: &[u8], statement: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    let parameters = parameters::of_bind(bind, portal, statement);
    parameters::readable(&parameters, &mut |word| words.push(word.to_owned()));
    words
}

/// A SCRAM exchange with a server that says `challenge` and then `last`; `{nonce}` in the challenge becomes the
/// client's own nonce. Gives back the client's two messages.
///
/// # Errors
/// What is wrong with either.
pub fn scram(challenge: &str, last: &[u8]) -> Result<(String, String), ScramError> {
    let first = First::new(Binding::EndPoint(vec![1, 2, 3]))?;
    let opening = first.message();
    let nonce = opening.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
    let challenge = first.challenge(challenge.replace("{nonce}", nonce).as_bytes())?;
    let keys = Keys::derive("pencil", &challenge.salt);
    let (proof, end) = challenge.answer(&keys);
    end.verify(last).map(|()| (opening, proof))
}

/// An agent that masks is given these bytes, cut as they are, of the gateway and of its target. What must not be is a
/// panic, or a card number that no plan shows.
pub fn veil(parts: &[(bool, &[u8])]) -> Vec<u8> {
    let mut veil = crate::veil::Veil::default();
    let (mut gateway, mut target) = (bytes::BytesMut::new(), bytes::BytesMut::new());
    let (mut to_gateway, mut to_target) = (bytes::BytesMut::new(), bytes::BytesMut::new());
    for (of_gateway, part) in parts {
        if *of_gateway {
            gateway.extend_from_slice(part);
        } else {
            target.extend_from_slice(part);
        }
        let took = veil.take_from_gateway(&mut gateway, &mut to_target);
        if took.is_err() || veil.take_from_target(&mut target, &mut to_gateway).is_err() {
            break;
        }
    }
    to_gateway.to_vec()
}

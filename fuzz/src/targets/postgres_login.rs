//! What peers say before a session begins is understood or refused: startup packets, requests to cancel, and a
//! target's side of a SCRAM exchange. Nothing that a client says at connect comes through twice, or unbounded.

use sallyport_postgres::greet::Startup;
use sallyport_postgres::testing;
use sallyport_postgres::wire::startup::{self, Opening};

/// One input.
pub fn run(data: &[u8]) {
    let [what, data @ ..] = data else { return };
    if what % 4 == 0 {
        return scram(data);
    }
    // Framed for the fuzzer, so that it need not find out how long a packet says that it is.
    let mut packet = Vec::new();
    if what % 4 == 1 {
        let length = u32::try_from(data.len() + 8).unwrap();
        packet.extend(length.to_be_bytes());
        packet.extend(0x0003_0000_u32.to_be_bytes());
    }
    packet.extend(data);
    for end in 0..packet.len() {
        let early = startup::next_packet(&packet[..end]);
        if matches!(early, Ok(Some(_)) | Err(_)) {
            assert_eq!(
                early.is_ok(),
                startup::next_packet(&packet).is_ok(),
                "more bytes change nothing"
            );
            break;
        }
    }
    let Ok(Some((Opening::Startup(packet), _))) = startup::next_packet(&packet) else {
        return;
    };
    let Ok(startup) = Startup::read(&packet) else { return };
    assert!(!startup.user.is_empty() && startup.user.len() <= 256 && startup.database.len() <= 256);
    let mut names: Vec<&str> = startup.settings().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a setting came twice");
    assert!(count <= 64);
    assert!(names.iter().all(|name| **name == name.to_ascii_lowercase()));
}

/// No challenge and no last word, short of the right one, makes a login count.
fn scram(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (challenge, last) = data.split_at(at);
    let Ok(challenge) = std::str::from_utf8(challenge) else {
        return;
    };
    // Hundreds of thousands of rounds are allowed, and would only slow the fuzzer down.
    if challenge.rsplit_once("i=").is_some_and(|(_, count)| count.len() > 4) {
        return;
    }
    assert!(testing::scram(challenge, last.get(1..).unwrap_or_default()).is_err());
}

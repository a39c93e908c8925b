//! What a hostile peer sends is framed and decoded, or refused with an error; and a stream that is cut anywhere
//! has the same frames.

use sallyport_postgres::wire::{Limits, Tag, backend, frontend, next_frame, startup};

/// The frames that `data` begins with: their types and ends.
fn frames<T: Tag>(data: &[u8]) -> (Vec<(T, usize)>, bool) {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        match next_frame::<T>(&data[at..], &Limits::default()) {
            Ok(Some(frame)) => {
                assert!(frame.total_len >= 5 && frame.is_whole(&data[at..]));
                at += frame.total_len;
                found.push((frame.tag, at));
            }
            Ok(None) => return (found, false),
            Err(_) => return (found, true),
        }
    }
}

/// The same, fed byte by byte.
fn fed<T: Tag>(data: &[u8]) -> (Vec<(T, usize)>, bool) {
    let mut found = Vec::new();
    let mut at = 0;
    for end in 1..=data.len() {
        match next_frame::<T>(&data[at..end], &Limits::default()) {
            Ok(Some(frame)) => {
                at += frame.total_len;
                assert_eq!(at, end, "a frame is seen as soon as it is whole");
                found.push((frame.tag, at));
            }
            Ok(None) => {}
            Err(_) => return (found, true),
        }
    }
    (found, false)
}

/// One input.
pub fn run(data: &[u8]) {
    let _ = startup::next_packet(data);
    let (client, refused) = frames::<frontend::Tag>(data);
    assert_eq!((client.clone(), refused), fed(data));
    let (target, refused) = frames::<backend::Tag>(data);
    assert_eq!((target.clone(), refused), fed(data));
    let mut start = 0;
    for (tag, end) in client {
        let _ = frontend::Message::decode(tag, &data[start + 5..end]);
        start = end;
    }
    start = 0;
    for (tag, end) in target {
        let _ = backend::Message::decode(tag, &data[start + 5..end]);
        start = end;
    }
}

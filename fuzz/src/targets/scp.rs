//! The machine between the two ends of scp: no byte of a file or a name reaches the sink before it was permitted, and
//! bytes in pieces come to the same.

use bytes::{Bytes, BytesMut};
use sallyport_sftp::{Direction, Ended};
use sallyport_sftp::rsync::{RsyncArgs, RsyncCommand};
use sallyport_sftp::scp::{Scp, ScpOut, ScpTransfer, ScpVerdict};

#[derive(Debug, PartialEq)]
struct Effects {
    to_client: BytesMut,
    to_target: BytesMut,
    texts: Vec<String>,
    done: Vec<ScpTransfer>,
    ended: Vec<Ended>,
}

/// The source's stream, with a sink that says yes whenever it is its turn.
fn play(stream: &[u8], piece: usize, refuse: bool) -> Effects {
    let (mut scp, mut out, mut texts) = (Scp::new(Direction::Upload), ScpOut::default(), Vec::new());
    let (mut client, mut pieces) = (BytesMut::new(), stream.chunks(piece));
    let mut broken = scp.from_target(&mut BytesMut::from(&b"\0"[..]), &mut out).is_err();
    while !broken {
        broken = scp.from_client(&mut client, &mut out).is_err();
        if let Some(ask) = out.asks.pop_front() {
            let verdict =
                if refuse { ScpVerdict::Refused { message: "no".to_owned() } } else { ScpVerdict::Permitted };
            texts.push(ask.text);
            broken |= scp.answer(ask.id, &verdict, &mut out).is_err();
        } else if !scp.wants_client() {
            broken |= scp.from_target(&mut BytesMut::from(&b"\0"[..]), &mut out).is_err();
        } else if let Some(piece) = pieces.next() {
            client.extend_from_slice(piece);
        } else {
            break;
        }
    }
    scp.over(&mut out);
    Effects { to_client: out.to_client, to_target: out.to_target, texts, done: out.done, ended: out.ended }
}

/// One input.
pub fn run(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let whole = play(data, data.len().max(1), false);
    let pieces = play(data, usize::from(*cut).max(1), false);
    assert_eq!(whole, pieces, "cut into pieces of {cut}");
    let refused = play(data, data.len().max(1), true);
    assert!(refused.ended.is_empty() && whole.ended.len() == whole.texts.len(), "what was permitted ends once");
    let lines = refused.to_target.as_ref().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        assert!(matches!(line.first(), Some(1 | 2)), "only warnings go on");
    }
    let args: Vec<Bytes> = data.split(|byte| *byte == 0).map(Bytes::copy_from_slice).collect();
    let _ = RsyncCommand::parse(&args);
    let _ = RsyncArgs::default().read(&mut BytesMut::from(data));
}

//! What people are shown of a session, whatever bytes it had: replays say the same however a response was cut, and bound
//! parameters become a bounded number of words.

use sallyport_postgres::wire::frontend::Bind;
use sallyport_postgres::{Told, Transcript, testing};

fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Told> {
    let mut transcript = Transcript::default();
    let mut lines = Vec::new();
    for piece in pieces {
        transcript.response(piece, &mut |line| lines.push(line));
    }
    lines
}

/// One input.
pub fn run(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let whole = told(std::iter::once(data));
    let pieces = told(data.chunks(usize::from(*cut).max(1)));
    assert_eq!(whole, pieces, "cut into pieces of {cut}");
    if let Ok(bind) = Bind::decode(data) {
        let words = testing::readable(data, bind.portal, bind.statement);
        assert_eq!(words.len(), bind.parameters.len());
        assert!(words.iter().all(|word| word.chars().count() <= 300));
    }
}

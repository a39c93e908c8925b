//! Masking text keeps its promises for any bytes: finding and replacing agree, what is not replaced is untouched,
//! and text that is cut into pieces is masked as if it came whole.

use std::sync::{Arc, OnceLock};

use sallyport_mask::{Detector, MaskKey, Medium, Scanner, Scratch, Strategy, TextStream};

fn scanners() -> &'static [Arc<Scanner>] {
    static SCANNERS: OnceLock<Vec<Arc<Scanner>>> = OnceLock::new();
    SCANNERS.get_or_init(|| {
        let key = MaskKey::new(&vec![7; 32].into());
        let strategies = [
            Strategy::Partial,
            Strategy::Redact,
            Strategy::KeepLast(4),
            Strategy::Hash,
            Strategy::Null,
            Strategy::Zero,
            Strategy::Year,
            Strategy::Email,
            Strategy::Card,
        ];
        let scanner = |strategy| Arc::new(Scanner::new(&Detector::ALL.map(|detector| (detector, strategy)), &key));
        strategies.into_iter().map(scanner).collect()
    })
}

/// One input.
pub fn run(data: &[u8]) {
    let [which, cut, text @ ..] = data else {
        return;
    };
    let scanner = &scanners()[usize::from(*which) % scanners().len()];
    let mut scratch = Scratch::default();
    let before = b"kept".to_vec();
    let mut out = before.clone();
    let changed = scanner.scan_with(text, &mut scratch, &mut out);
    assert!(out.starts_with(&before), "what was in the output stays");
    let hit = scanner.first(text, &mut scratch).map(|hit| (hit.start, hit.end));
    assert_eq!(hit.is_some(), changed);
    match hit {
        None => assert_eq!(out, before),
        Some((start, end)) => {
            assert!(start < end && end <= text.len());
            assert_eq!(&out[before.len()..before.len() + start], &text[..start]);
        }
    }

    for medium in [Medium::Bytes, Medium::Terminal] {
        let whole = streamed(scanner, medium, [text]);
        let pieces = streamed(scanner, medium, text.chunks(usize::from(*cut).max(1)));
        assert_eq!(whole, pieces, "cut into pieces of {cut} for {medium:?}");
    }
}

fn streamed<'a>(scanner: &Arc<Scanner>, medium: Medium, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stream = TextStream::new(Arc::clone(scanner), medium);
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    out
}

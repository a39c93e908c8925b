//! A JSON document that was masked is still one, and one in which nothing was found keeps its bytes.

use std::sync::OnceLock;

use sallyport_mask::{Detector, MaskKey, Scanner, Scratch, Strategy, json};

fn scanners() -> &'static [Scanner] {
    static SCANNERS: OnceLock<Vec<Scanner>> = OnceLock::new();
    SCANNERS.get_or_init(|| {
        let key = MaskKey::new(&vec![7; 32].into());
        let scanner = |strategy| Scanner::new(&Detector::ALL.map(|detector| (detector, strategy)), &key);
        [Strategy::Partial, Strategy::Null, Strategy::Card, Strategy::Hash]
            .into_iter()
            .map(scanner)
            .collect()
    })
}

/// One input.
pub fn run(data: &[u8]) {
    let [which, text @ ..] = data else { return };
    let scanner = &scanners()[usize::from(*which) % scanners().len()];
    let mut out = Vec::new();
    let changed = json::mask(scanner, text, &mut Scratch::default(), &mut out);
    assert!(changed || out.is_empty());
    let valid = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    if changed && valid(text) {
        assert!(
            valid(&out),
            "{:?} became {:?}",
            String::from_utf8_lossy(text),
            String::from_utf8_lossy(&out)
        );
    }
}

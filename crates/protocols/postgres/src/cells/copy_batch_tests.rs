//! Many messages at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Strategy as _;
use sallyport_mask::Strategy;

use super::super::batch::LOOK_LIMIT;
use super::super::{CellError, ColumnPlan, CopyFormat, CopyMasker, CsvOptions, Encoding, Rows, TextOptions};
use super::tests::{HEADER, column, masker, tuple};

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [b"d", &length.to_be_bytes()[..], body].concat()
}

/// What is sent on, message after message, and the error that ends it.
type Sent = (Vec<u8>, Option<CellError>);

/// One message after another.
fn one_by_one(mut masker: CopyMasker, bodies: &[Vec<u8>]) -> Sent {
    let mut out = Vec::new();
    for body in bodies {
        if let Err(error) = one(&mut masker, body, &mut out) {
            return (out, Some(error));
        }
    }
    let error = last(&mut masker, &mut out).err();
    (out, error)
}

fn one(masker: &mut CopyMasker, body: &[u8], out: &mut Vec<u8>) -> Result<(), CellError> {
    let mut data = Vec::new();
    masker.data(body, &mut data)?;
    if !data.is_empty() {
        out.extend(message(&data));
    }
    Ok(())
}

fn last(masker: &mut CopyMasker, out: &mut Vec<u8>) -> Result<(), CellError> {
    let mut data = Vec::new();
    masker.finish(&mut data)?;
    if !data.is_empty() {
        out.extend(message(&data));
    }
    Ok(())
}

/// Messages as they come, as many at once as there are; and how many were taken at once.
fn as_they_come<'a>(mut masker: CopyMasker, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Sent, usize) {
    let (mut out, mut input, mut many) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let mut new = b"kept".to_vec();
            let rows = match masker.messages(&input, &mut new) {
                Ok(rows) => rows,
                Err(error) => return ((out, Some(error)), many),
            };
            many += rows.count;
            if rows.changed {
                out.extend_from_slice(new.strip_prefix(b"kept").unwrap());
            } else {
                assert_eq!(new, b"kept");
                out.extend_from_slice(&input[..rows.taken]);
            }
            input.drain(..rows.taken);
            if rows.count > 0 {
                continue;
            }
            let length = input
                .get(1..5)
                .map(|length| u32::from_be_bytes(length.try_into().unwrap()));
            let Some(body) = length.and_then(|length| input.get(5..1 + length as usize)) else {
                break;
            };
            if let Err(error) = one(&mut masker, body, &mut out) {
                return ((out, Some(error)), many);
            }
            let taken = 5 + body.len();
            input.drain(..taken);
        }
    }
    assert!(input.is_empty());
    let error = last(&mut masker, &mut out).err();
    ((out, error), many)
}

fn text() -> CopyFormat {
    CopyFormat::Text(TextOptions::default())
}

#[test]
fn rows_in_messages_of_their_own_are_taken_at_once() {
    let columns = || {
        vec![
            column(25, None),
            column(25, Some(Strategy::KeepLast(4))),
            column(20, None),
        ]
    };
    let rows = b"ada@example.com\t4111111111111111\t1\nx\\ty\t\\N\t2\n\\N\tab\\\\cdef\t4111111111111111\n";
    let want = b"a***@example.com\t************1111\t1\nx\\ty\t\\N\t2\n\\N\t**\\\\cdef\t\\N\n";
    let messages = |rows: &[u8]| -> Vec<u8> { rows.split_inclusive(|byte| *byte == b'\n').flat_map(message).collect() };
    let input = [messages(rows), b"c\0\0\0\x04".to_vec()].concat();
    let mut out = Vec::new();
    let done = masker(text(), columns()).messages(&input, &mut out).unwrap();
    let (taken, count, changed) = (input.len() - 5, 3, true);
    assert_eq!(done, Rows { taken, count, changed });
    assert_eq!(out, messages(want));
}

#[test]
fn quotes_stay_where_they_were_and_come_where_they_must() {
    let options = CsvOptions {
        force_quote: true,
        null: b"***".to_vec(),
        ..CsvOptions::default()
    };
    let columns = vec![column(25, None), column(25, Some(Strategy::Redact))];
    let rows = message(b"\"ada@example.com\",\"x\"\n\"say \"\"hi\"\" 532-71-9001\",x\n***,***\n");
    let mut out = Vec::new();
    masker(CopyFormat::Csv(options), columns)
        .messages(&rows, &mut out)
        .unwrap();
    let want = message(b"\"a***@example.com\",\"***\"\n\"say \"\"hi\"\" ***-**-****\",\"***\"\n***,***\n");
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&want));
}

#[test]
fn what_is_no_whole_row_is_left() {
    let row = message(b"ada@example.com\n");
    for rest in [&b"ada"[..], b"ada@example.com\nada", b"a\tb\n", b"", b"ada\\\n\\"] {
        let input = [&row[..], &message(rest), &row].concat();
        let mut out = Vec::new();
        let done = masker(text(), vec![column(25, None)])
            .messages(&input, &mut out)
            .unwrap();
        assert_eq!((done.taken, done.count), (row.len(), 1), "{rest:?}");
        assert_eq!(out, message(b"a***@example.com\n"));
    }
}

#[test]
fn a_long_row_is_masked_too() {
    let long = [&vec![b' '; 2 * LOOK_LIMIT][..], b"ada@example.com\\t\n"].concat();
    let bodies = [b"532-71-9001\n".to_vec(), long, b"10.0.0.1\n".to_vec()];
    let input: Vec<u8> = bodies.iter().flat_map(|body| message(body)).collect();
    let make = || masker(text(), vec![column(25, None)]);
    let (sent, many) = as_they_come(make(), [&input[..]]);
    assert_eq!((&sent, many), (&one_by_one(make(), &bodies), 3));
    assert!(memchr::memmem::find(&sent.0, b"ada@").is_none());
}

/// Something to find, something that nearly is, what must be escaped, and what stands for NULL.
fn value() -> impl proptest::strategy::Strategy<Value = Option<Vec<u8>>> {
    let known = select(vec![
        "532-71-9001",
        "ada@example.com",
        "4111111111111111",
        "4111-1111-1111-1111",
        "203.0.113.7",
        "{\"mail\": \"ada@example.com\"}",
        "{ada@example.com,NULL,\"a b\"}",
        "\\x61646140",
        "4.5e15",
        "-17",
        "say \"hi\"\\ twice\t, or|\nmore",
        "***",
        "NULL",
        "\\N",
        "",
    ]);
    prop_oneof![
        1 => Just(None),
        5 => known.prop_map(|text| Some(text.as_bytes().to_vec())),
        2 => "[ -~]{0,80}".prop_map(|text| Some(text.into_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 0..24).prop_map(Some),
        1 => "[a-z٤١é]{0,12}".prop_map(|text| Some(text.into_bytes())),
    ]
}

fn plan() -> impl proptest::strategy::Strategy<Value = ColumnPlan> {
    let oid = select(vec![
        0_u32, 17, 20, 23, 25, 25, 25, 114, 869, 1009, 1042, 1043, 1184, 1700, 77_777,
    ]);
    let rule = prop_oneof![
        5 => Just(None),
        1 => Just(Some(Strategy::Redact)),
        1 => Just(Some(Strategy::KeepLast(4))),
        1 => Just(Some(Strategy::Email)),
        1 => Just(Some(Strategy::Null)),
    ];
    (oid, rule).prop_map(|(oid, rule)| column(oid, rule))
}

fn format() -> impl proptest::strategy::Strategy<Value = CopyFormat> {
    let null = select(vec!["\\N", "", "NULL", "***"]).prop_map(|null| null.as_bytes().to_vec());
    let encoding = || prop_oneof![7 => Just(Encoding::Plain), 1 => Just(Encoding::Sjis)];
    let text = (
        select(b"\t\t\t|*,a1-\\".to_vec()),
        null.clone(),
        any::<bool>(),
        encoding(),
    )
        .prop_map(|(delimiter, null, header, encoding)| {
            CopyFormat::Text(TextOptions {
                delimiter,
                null,
                header,
                encoding,
            })
        });
    let csv = (
        select(b",,,;|*\t".to_vec()),
        select(b"\"\"\"'*,".to_vec()),
        any::<[bool; 3]>(),
        null,
        encoding(),
    )
        .prop_map(|(delimiter, quote, [other, force_quote, header], null, encoding)| {
            CopyFormat::Csv(CsvOptions {
                delimiter,
                quote,
                escape: if other { b'\\' } else { quote },
                force_quote,
                null,
                header,
                encoding,
            })
        });
    prop_oneof![2 => text, 2 => csv, 1 => Just(CopyFormat::Binary)]
}

/// The rows as a server writes them; the last number says whether a value is in quotes that it does not need.
fn written(format: &CopyFormat, rows: &[Vec<Option<Vec<u8>>>], quotes: usize) -> Vec<Vec<u8>> {
    let field = |at: usize, value: &Option<Vec<u8>>| -> Vec<u8> {
        let mut out = Vec::new();
        match (format, value) {
            (CopyFormat::Text(options), Some(value)) => super::super::copy_text::escape(options, value, &mut out),
            (CopyFormat::Csv(options), Some(value)) => {
                super::super::copy_csv::write(options, value, quotes >> (at % 8) & 1 == 1, &mut out);
            }
            (CopyFormat::Text(TextOptions { null, .. }) | CopyFormat::Csv(CsvOptions { null, .. }), None) => {
                out.clone_from(null);
            }
            (CopyFormat::Binary, _) => {}
        }
        out
    };
    let row = |row: &Vec<Option<Vec<u8>>>| match format {
        CopyFormat::Binary => tuple(&row.iter().map(Option::as_deref).collect::<Vec<_>>()),
        CopyFormat::Text(TextOptions { delimiter, .. }) | CopyFormat::Csv(CsvOptions { delimiter, .. }) => {
            let fields: Vec<_> = row.iter().enumerate().map(|(at, value)| field(at, value)).collect();
            [fields.join(&[*delimiter][..]), b"\n".to_vec()].concat()
        }
    };
    let mut rows: Vec<_> = rows.iter().map(row).collect();
    if *format == CopyFormat::Binary {
        if let Some(first) = rows.first_mut() {
            first.splice(0..0, HEADER.iter().copied());
        }
        rows.push(vec![0xFF, 0xFF]);
    }
    rows
}

/// Rows in messages of their own, but for some that are cut or come together, as a proxy might do.
fn cut_otherwise(mut bodies: Vec<Vec<u8>>, cuts: &[(Index, Index, bool)]) -> Vec<Vec<u8>> {
    for (body, at, join) in cuts {
        let body = body.index(bodies.len());
        if *join && body + 1 < bodies.len() {
            let next = bodies.remove(body + 1);
            bodies[body].extend(next);
        } else {
            let at = at.index(bodies[body].len() + 1);
            let rest = bodies[body].split_off(at);
            bodies.insert(body + 1, rest);
        }
    }
    bodies
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn many_messages_at_once_are_masked_as_each_is(
        (plans, rows) in proptest::collection::vec(plan(), 1..6).prop_flat_map(|plans| {
            let row = proptest::collection::vec(value(), plans.len());
            (Just(plans), proptest::collection::vec(row, 1..40))
        }),
        format in format(),
        quotes in any::<usize>(),
        cuts in proptest::collection::vec(any::<(Index, Index, bool)>(), 0..4),
        noise in proptest::collection::vec(any::<(Index, Index, u8)>(), 0..2),
        pieces in proptest::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bodies = cut_otherwise(written(&format, &rows, quotes), &cuts);
        for (body, at, byte) in noise {
            let body = body.index(bodies.len());
            let length = bodies[body].len();
            if length > 0 {
                bodies[body][at.index(length)] = byte;
            }
        }
        let input: Vec<u8> = bodies.iter().flat_map(|body| message(body)).collect();
        let mut pieces: Vec<usize> = pieces.iter().map(|piece| piece.index(input.len() + 1)).collect();
        pieces.extend([0, input.len()]);
        pieces.sort_unstable();
        let pieces = pieces.windows(2).map(|pair| &input[pair[0]..pair[1]]);
        let make = || masker(format.clone(), plans.clone());
        let (sent, _) = as_they_come(make(), pieces);
        prop_assert_eq!(sent, one_by_one(make(), &bodies));
    }

    #[test]
    fn ordinary_rows_are_taken_at_once(
        rows in proptest::collection::vec(proptest::collection::vec(value(), 2), 1..40),
        csv in any::<bool>(),
        quotes in any::<usize>(),
    ) {
        let format = if csv { CopyFormat::Csv(CsvOptions::default()) } else { text() };
        let input: Vec<u8> = written(&format, &rows, quotes).iter().flat_map(|body| message(body)).collect();
        let (_, many) = as_they_come(masker(format, vec![column(25, None), column(1043, None)]), [&input[..]]);
        prop_assert_eq!(many, rows.len());
    }
}

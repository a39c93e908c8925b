//! Rows and COPY data of a hostile server are masked or refused, never passed on broken: what comes out is a message
//! with as many columns, and COPY data that is cut into pieces is masked as if it came whole.

use std::sync::{Arc, OnceLock};

use sallyport_mask::{Detector, MaskKey, Scanner, Strategy};
use sallyport_postgres::cells::{
    ColumnPlan, CopyFormat, CopyMasker, CsvOptions, Encoding, Format, RowMasker, TextOptions, TypeMap,
};

/// Types with rules of their own: bool, bytea, the numbers, text, json, xml, network, dates, uuid, ranges, and arrays.
const TYPES: [u32; 40] = [
    0, 16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 650, 700, 701, 790, 829, 869, 1000, 1007, 1009, 1015, 1042,
    1043, 1082, 1083, 1114, 1184, 1186, 1231, 1266, 1560, 1700, 2249, 2950, 3614, 3802, 3904, 4451,
];

struct Shared {
    scanner: Arc<Scanner>,
    key: Arc<MaskKey>,
    types: Arc<TypeMap>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let key = MaskKey::new(&vec![7; 32].into());
        let scanner = Scanner::new(&Detector::ALL.map(|detector| (detector, Strategy::Partial)), &key);
        Shared {
            scanner: Arc::new(scanner),
            key: Arc::new(key),
            types: Arc::new(TypeMap::builtin()),
        }
    })
}

fn rule(choice: u8) -> Option<Strategy> {
    match choice % 10 {
        0 => None,
        1 => Some(Strategy::Redact),
        2 => Some(Strategy::KeepLast(4)),
        3 => Some(Strategy::Hash),
        4 => Some(Strategy::Null),
        5 => Some(Strategy::Zero),
        6 => Some(Strategy::Year),
        7 => Some(Strategy::Email),
        8 => Some(Strategy::Card),
        _ => Some(Strategy::Partial),
    }
}

fn columns(plan: &[u8]) -> Vec<ColumnPlan> {
    let column = |pair: &[u8]| ColumnPlan {
        rule: rule(pair[1]),
        type_oid: TYPES[usize::from(pair[0]) % TYPES.len()],
        format: if pair[1] & 0x80 == 0 {
            Format::Text
        } else {
            Format::Binary
        },
    };
    plan.chunks_exact(2).map(column).collect()
}

/// The number of values in a `DataRow` message, if it is one.
fn values(message: &[u8]) -> Option<usize> {
    let rest = message.strip_prefix(b"D")?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    let (count, mut cells) = body.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_be_bytes(*count));
    for _ in 0..count {
        let (length, rest) = cells.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        cells = rest.get(usize::try_from(length.max(0)).ok()?..)?;
        (length >= -1).then_some(())?;
    }
    (cells.is_empty() && usize::try_from(u32::from_be_bytes(*length)).ok()? == rest.len()).then_some(count)
}

/// One input.
pub fn run(data: &[u8]) {
    let [how, count, cut, rest @ ..] = data else {
        return;
    };
    let Some((plan, bytes)) = rest.split_at_checked(2 * usize::from(count % 8)) else {
        return;
    };
    let columns = columns(plan);
    let encoding = [Encoding::Plain, Encoding::Double, Encoding::Sjis, Encoding::Gb18030][usize::from(how >> 6)];
    let header = how & 0x20 != 0;
    match how % 4 {
        0 => row(columns, bytes),
        1 => copy(
            &CopyFormat::Text(TextOptions {
                header,
                encoding,
                ..TextOptions::default()
            }),
            &columns,
            bytes,
            *cut,
        ),
        2 => copy(
            &CopyFormat::Csv(CsvOptions {
                header,
                encoding,
                ..CsvOptions::default()
            }),
            &columns,
            bytes,
            *cut,
        ),
        _ => copy(&CopyFormat::Binary, &columns, bytes, *cut),
    }
}

fn row(columns: Vec<ColumnPlan>, body: &[u8]) {
    let Shared { scanner, key, types } = shared();
    let count = columns.len();
    let mut masker = RowMasker::new(columns, Arc::clone(scanner), Arc::clone(key), Arc::clone(types));
    let mut out = b"kept".to_vec();
    match masker.row(body, &mut out) {
        Ok(true) => assert_eq!(values(out.strip_prefix(b"kept").unwrap()), Some(count)),
        Ok(false) | Err(_) => assert_eq!(out, b"kept"),
    }
}

fn copy(format: &CopyFormat, columns: &[ColumnPlan], data: &[u8], cut: u8) {
    let whole = copied(format, columns, [data]);
    let pieces = copied(format, columns, data.chunks(usize::from(cut).max(1)));
    assert_eq!(whole, pieces, "cut into pieces of {cut}");
}

fn copied<'a>(
    format: &CopyFormat,
    columns: &[ColumnPlan],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Vec<u8>> {
    let Shared { scanner, key, types } = shared();
    let (scanner, key, types) = (Arc::clone(scanner), Arc::clone(key), Arc::clone(types));
    let mut masker = CopyMasker::new(format.clone(), columns.to_vec(), scanner, key, types);
    let mut out = Vec::new();
    for piece in pieces {
        masker.data(piece, &mut out).ok()?;
    }
    masker.finish(&mut out).ok()?;
    Some(out)
}

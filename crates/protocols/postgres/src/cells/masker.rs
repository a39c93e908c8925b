//! One value: by its type and format to the code that knows them.

use std::ops::Range;
use std::sync::Arc;

use sallyport_mask::{Detector, MaskKey, Scanner, Scratch, Strategy};

use super::{ColumnPlan, Format, Scalar, TypeKind, TypeMap};

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stays; nothing was appended.
    Same,
    /// The new value was appended.
    Changed,
    /// It becomes NULL; nothing was appended.
    Null,
}

/// Values in values (arrays of composites of arrays …), so many deep; deeper ones become NULL.
const DEPTH_LIMIT: usize = 32;

/// Masks single values.
pub(super) struct Masker {
    pub(super) scanner: Arc<Scanner>,
    pub(super) key: Arc<MaskKey>,
    pub(super) types: Arc<TypeMap>,
    pub(super) scratch: Scratch,
    depth: usize,
}

impl Masker {
    pub(super) fn new(scanner: Arc<Scanner>, key: Arc<MaskKey>, types: Arc<TypeMap>) -> Self {
        Self {
            scanner,
            key,
            types,
            scratch: Scratch::default(),
            depth: 0,
        }
    }

    /// Whether a value of this type can change without a rule.
    pub(super) fn can_change(&self, oid: u32) -> bool {
        if self.scanner.is_empty() {
            return false;
        }
        self.scanner.has_custom() || self.detectable(&self.types.kind(oid), 0)
    }

    fn detectable(&self, kind: &TypeKind, depth: usize) -> bool {
        let inner = |oid: u32| depth >= DEPTH_LIMIT || self.detectable(&self.types.kind(oid), depth + 1);
        match kind {
            TypeKind::Text
            | TypeKind::Bpchar
            | TypeKind::Name
            | TypeKind::Json
            | TypeKind::Jsonb
            | TypeKind::Xml
            | TypeKind::Bytea
            | TypeKind::Lexemes
            | TypeKind::Hstore
            | TypeKind::Word
            | TypeKind::Domain(_)
            | TypeKind::Unknown => true,
            TypeKind::Scalar(Scalar::Int(8) | Scalar::Numeric) => self.scanner.looks_for(Detector::CreditCard),
            TypeKind::Scalar(Scalar::Inet | Scalar::Cidr) => self.scanner.looks_for(Detector::Ip),
            TypeKind::Scalar(_) | TypeKind::Opaque => false,
            TypeKind::Array { element, .. } => inner(*element),
            TypeKind::Composite(Some(fields)) => fields.iter().any(|field| inner(*field)),
            TypeKind::Composite(None) => true,
            TypeKind::Range(bound) | TypeKind::Multirange(bound) => inner(*bound),
        }
    }

    /// Whether a search through a row's text finds whatever a search through this column would.
    pub(super) fn is_plain_text(&self, plan: &ColumnPlan) -> bool {
        let text = plan.type_oid == 0 || matches!(self.types.kind(plan.type_oid), TypeKind::Text | TypeKind::Bpchar);
        plan.rule.is_none() && plan.format == Format::Text && text
    }

    /// Whether a column's cells are nothing but text, in either format, without a rule.
    pub(super) fn is_text(&self, plan: &ColumnPlan) -> bool {
        plan.rule.is_none()
            && (matches!(self.types.kind(plan.type_oid), TypeKind::Text)
                || plan.type_oid == 0 && plan.format == Format::Text)
    }

    /// Whether each value of the column is replaced as the text that it is, whatever it is.
    pub(super) fn is_replaced_as_text(&self, plan: &ColumnPlan) -> bool {
        let text = matches!(self.types.kind(plan.type_oid), TypeKind::Text);
        text && plan.rule.is_some_and(|strategy| strategy != Strategy::Null)
    }

    /// Whether anything that is found in a value of the column is found by a search through its bytes as they are, in
    /// one go: what masks the value need not look at one in which nothing could be.
    pub(super) fn is_searched_as_it_is(&self, plan: &ColumnPlan) -> bool {
        let text = plan.format == Format::Text;
        plan.rule.is_none()
            && match self.types.kind(plan.type_oid) {
                TypeKind::Text | TypeKind::Bpchar | TypeKind::Name => true,
                TypeKind::Word | TypeKind::Domain(_) | TypeKind::Opaque => true,
                TypeKind::Unknown => plan.type_oid != 0 || text,
                TypeKind::Scalar(Scalar::Inet | Scalar::Cidr) | TypeKind::Lexemes => text,
                TypeKind::Scalar(_)
                | TypeKind::Json
                | TypeKind::Jsonb
                | TypeKind::Xml
                | TypeKind::Bytea
                | TypeKind::Hstore
                | TypeKind::Array { .. }
                | TypeKind::Composite(_)
                | TypeKind::Range(_)
                | TypeKind::Multirange(_) => false,
            }
    }

    /// Whether the column holds decimal numbers in text, which only cards are found in.
    pub(super) fn is_number(&self, plan: &ColumnPlan) -> bool {
        plan.rule.is_none()
            && plan.format == Format::Text
            && matches!(
                self.types.kind(plan.type_oid),
                TypeKind::Scalar(Scalar::Int(_) | Scalar::Numeric | Scalar::Float(_))
            )
    }

    /// Whether anything is found in a text of the rows that were looked at last; [`Masker::rewrite`] replaces it.
    pub(super) fn find_in(&mut self, rows: &[u8], text: &Range<usize>) -> bool {
        self.scanner.find_in_text(rows, text, &mut self.scratch)
    }

    /// Appends the text with what was found in it replaced.
    pub(super) fn rewrite(&self, rows: &[u8], text: &Range<usize>, out: &mut Vec<u8>) {
        let text = rows.get(text.clone()).unwrap_or_default();
        self.scanner.rewrite(text, &self.scratch, out);
    }

    /// Whether nothing is found in a text.
    pub(super) fn holds_nothing(&mut self, text: &[u8]) -> bool {
        self.scanner.first(text, &mut self.scratch).is_none()
    }

    /// Masks one value that is not NULL, and appends the new one to `out` if there is one. Empty stays empty.
    pub(super) fn value(
        &mut self,
        rule: Option<Strategy>,
        oid: u32,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let kind = self.types.kind(oid);
        let plan = ColumnPlan {
            rule,
            type_oid: oid,
            format,
        };
        self.value_of(&plan, &kind, value, out)
    }

    /// The same for a type that was looked up before.
    pub(super) fn value_of(&mut self, plan: &ColumnPlan, kind: &TypeKind, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        if value.is_empty() {
            return Outcome::Same;
        }
        if self.depth >= DEPTH_LIMIT {
            return Outcome::Null;
        }
        let length = out.len();
        self.depth += 1;
        let outcome = match plan.rule {
            Some(Strategy::Null) => Outcome::Null,
            Some(strategy) => self.ruled(strategy, kind, plan.format, value, out),
            None => self.detected(plan.type_oid, kind, plan.format, value, out),
        };
        self.depth -= 1;
        if outcome != Outcome::Changed {
            out.truncate(length);
        }
        outcome
    }

    /// A value of a classified column.
    fn ruled(
        &mut self,
        strategy: Strategy,
        kind: &TypeKind,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        match kind {
            TypeKind::Text => {
                sallyport_mask::apply(strategy, &self.key, value, out);
                Outcome::Changed
            }
            TypeKind::Bpchar => self.padded(Some(strategy), value, out),
            TypeKind::Name => self.named(Some(strategy), value, out),
            TypeKind::Json | TypeKind::Jsonb => self.ruled_json(strategy, kind, format, value, out),
            TypeKind::Xml => self.ruled_xml(strategy, value, out),
            TypeKind::Bytea => self.ruled_bytea(strategy, format, value, out),
            TypeKind::Array { element, delimiter } => {
                self.array(Some(strategy), *element, *delimiter, format, value, out)
            }
            TypeKind::Composite(fields) => self.composite(Some(strategy), fields.as_deref(), format, value, out),
            TypeKind::Scalar(scalar) => self.scalar(strategy, *scalar, format, value, out),
            TypeKind::Unknown
            | TypeKind::Lexemes
            | TypeKind::Hstore
            | TypeKind::Word
            | TypeKind::Range(_)
            | TypeKind::Multirange(_)
            | TypeKind::Domain(_)
            | TypeKind::Opaque => Outcome::Null,
        }
    }

    /// A value that only its content can give away.
    fn detected(&mut self, oid: u32, kind: &TypeKind, format: Format, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        match kind {
            TypeKind::Text => self.scanned(value, out),
            TypeKind::Bpchar => self.padded(None, value, out),
            TypeKind::Name => self.named(None, value, out),
            TypeKind::Json | TypeKind::Jsonb => self.detected_json(kind, format, value, out),
            TypeKind::Xml => self.detected_xml(value, out),
            TypeKind::Bytea => self.detected_bytea(format, value, out),
            TypeKind::Lexemes if format == Format::Text => self.scanned(value, out),
            TypeKind::Lexemes | TypeKind::Opaque | TypeKind::Domain(_) | TypeKind::Word => self.null_if_found(value),
            TypeKind::Hstore => self.hstore(format, value, out),
            TypeKind::Array { element, delimiter } => self.array(None, *element, *delimiter, format, value, out),
            TypeKind::Composite(fields) => self.composite(None, fields.as_deref(), format, value, out),
            TypeKind::Range(bound) => self.range(*bound, format, value),
            TypeKind::Multirange(bound) => self.multirange(*bound, format, value),
            TypeKind::Scalar(scalar) => self.detected_scalar(*scalar, format, value, out),
            TypeKind::Unknown => self.undescribed(oid, format, value, out),
        }
    }

    /// Text in which whatever is found may be replaced in place.
    pub(super) fn scanned(&mut self, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        if self.scanner.scan_with(value, &mut self.scratch, out) {
            Outcome::Changed
        } else {
            Outcome::Same
        }
    }

    /// A value that cannot be changed, only be NULL.
    pub(super) fn null_if_found(&mut self, value: &[u8]) -> Outcome {
        if self.scanner.first(value, &mut self.scratch).is_some() {
            Outcome::Null
        } else {
            Outcome::Same
        }
    }

    /// A type that nobody described. If nobody even named it (COPY), readable text is masked in place, and eight
    /// bytes may be a number; the value of a type with a name and unknown rules becomes NULL.
    fn undescribed(&mut self, oid: u32, format: Format, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        if oid != 0 {
            return self.null_if_found(value);
        }
        let readable = format == Format::Text || is_readable(value);
        if readable {
            return self.scanned(value, out);
        }
        if value.len() == 8 {
            return self.detected_scalar(Scalar::Int(8), format, value, out);
        }
        self.null_if_found(value)
    }

    /// Blank-padded text: the padding is no part of the value, and fills what the new value leaves. A new value that is
    /// longer than the type permits is cut.
    fn padded(&mut self, rule: Option<Strategy>, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        let bare = value.get(..end).unwrap_or_default();
        if bare.is_empty() {
            return Outcome::Same;
        }
        let start = out.len();
        if self.text(rule, bare, out) == Outcome::Same {
            return Outcome::Same;
        }
        let width = characters(value);
        let new = out.get(start..).unwrap_or_default();
        let mut starts = new.iter().enumerate().filter(|(_, byte)| **byte & 0xC0 != 0x80);
        match starts.nth(width) {
            Some((end, _)) => out.truncate(start + end),
            None => {
                let missing = width - characters(new);
                out.extend(std::iter::repeat_n(b' ', missing));
            }
        }
        Outcome::Changed
    }

    /// A `name`: what is longer than the type permits is cut.
    fn named(&mut self, rule: Option<Strategy>, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let start = out.len();
        let outcome = self.text(rule, value, out);
        let mut end = start + NAME_LIMIT;
        if out.len() > end {
            while out.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
                end -= 1;
            }
            out.truncate(end);
        }
        outcome
    }

    pub(super) fn text(&mut self, rule: Option<Strategy>, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        match rule {
            None => self.scanned(value, out),
            Some(strategy) => {
                sallyport_mask::apply(strategy, &self.key, value, out);
                Outcome::Changed
            }
        }
    }
}

/// The longest `name`, in bytes (NAMEDATALEN - 1).
const NAME_LIMIT: usize = 63;

/// Characters of UTF-8, which `character(n)` counts.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| *byte & 0xC0 != 0x80).count()
}

/// UTF-8 without control characters other than white space: what text looks like.
fn is_readable(value: &[u8]) -> bool {
    let blank = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r');
    value.iter().all(|byte| *byte >= 0x20 || blank(byte)) && std::str::from_utf8(value).is_ok()
}

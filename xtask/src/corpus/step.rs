//! The bytes of one step.

use anyhow::{Context, Result, bail};

use super::case::{Parameter, Step};
use super::wire::{packet, text};

/// What a step puts on the wire, and what to wait for after it.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) until: &'static [u8],
}

/// Encodes a step. `function` tells a function's oid by its signature.
pub(crate) fn encode(step: &Step, function: &mut dyn FnMut(&str) -> Result<u32>) -> Result<Encoded> {
    let (kind, body, until): (u8, Vec<u8>, &'static [u8]) = match step.op.as_str() {
        "Q" => (b'Q', statement(step)?, b"ZGWH"),
        "P" => (b'P', parse(step)?, b""),
        "B" => (b'B', bind(step)?, b""),
        "D" => (b'D', named(step, "P"), b""),
        "C" => (b'C', named(step, "S"), b""),
        "E" => (b'E', execute(step), b""),
        "H" => (b'H', Vec::new(), b""),
        "S" => (b'S', Vec::new(), b"Z"),
        "F" => (b'F', call(step, function)?, b"Z"),
        "copydata" => (b'd', copy_data(step)?, b""),
        "copydone" => (b'c', Vec::new(), b"Z"),
        "copyfail" => (b'f', text(step.text.as_deref().unwrap_or("x")), b"Z"),
        "raw" => {
            return Ok(Encoded {
                bytes: hex(step.hex.as_deref().unwrap_or_default())?,
                until: b"",
            });
        }
        other => bail!("unknown step `{other}`"),
    };
    Ok(Encoded {
        bytes: packet(kind, &body),
        until,
    })
}

fn statement(step: &Step) -> Result<Vec<u8>> {
    if let Some(digits) = &step.sql_hex {
        let mut bytes = hex(digits)?;
        bytes.push(0);
        return Ok(bytes);
    }
    step.sql.as_deref().map(text).context("the step has no statement")
}

fn parse(step: &Step) -> Result<Vec<u8>> {
    let mut body = text(&step.name);
    body.extend(statement(step)?);
    body.extend(count(step.oids.len()));
    body.extend(step.oids.iter().flat_map(|oid| oid.to_be_bytes()));
    Ok(body)
}

fn bind(step: &Step) -> Result<Vec<u8>> {
    let mut body = text(&step.portal);
    body.extend(text(&step.stmt));
    body.extend(shorts(&step.pfmt));
    body.extend(values(&step.params)?);
    body.extend(shorts(
        &step.rfmt.as_ref().map(super::case::Formats::list).unwrap_or_default(),
    ));
    Ok(body)
}

fn named(step: &Step, kind: &str) -> Vec<u8> {
    let mut body = step.kind.as_deref().unwrap_or(kind).as_bytes().to_vec();
    body.extend(text(&step.name));
    body
}

fn execute(step: &Step) -> Vec<u8> {
    let mut body = text(&step.portal);
    body.extend(u32::try_from(step.max).unwrap_or_default().to_be_bytes());
    body
}

fn call(step: &Step, function: &mut dyn FnMut(&str) -> Result<u32>) -> Result<Vec<u8>> {
    let oid = function(step.function.as_deref().context("the step names no function")?)?;
    let mut body = oid.to_be_bytes().to_vec();
    body.extend(shorts(&step.afmt));
    body.extend(values(&step.args)?);
    let format = step.rfmt.as_ref().and_then(|formats| formats.list().first().copied());
    body.extend(format.unwrap_or(0).to_be_bytes());
    Ok(body)
}

fn copy_data(step: &Step) -> Result<Vec<u8>> {
    match &step.hex {
        Some(digits) => hex(digits),
        None => Ok(step.text.clone().unwrap_or_default().into_bytes()),
    }
}

fn shorts(values: &[u16]) -> Vec<u8> {
    let mut bytes = count(values.len()).to_vec();
    bytes.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    bytes
}

fn values(parameters: &[Parameter]) -> Result<Vec<u8>> {
    let mut bytes = count(parameters.len()).to_vec();
    for parameter in parameters {
        let value = match parameter {
            Parameter::Null(()) => {
                bytes.extend((-1_i32).to_be_bytes());
                continue;
            }
            Parameter::Hex { hex: digits } => hex(digits)?,
            Parameter::Text(text) => text.clone().into_bytes(),
        };
        bytes.extend(u32::try_from(value.len()).context("a value is too long")?.to_be_bytes());
        bytes.extend(value);
    }
    Ok(bytes)
}

fn count(count: usize) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes()
}

/// Bytes from hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Result<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        bail!("an odd number of hexadecimal digits");
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair)?;
            u8::from_str_radix(pair, 16).with_context(|| format!("`{pair}` is not hexadecimal"))
        })
        .collect()
}

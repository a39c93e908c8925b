use std::collections::BTreeMap;

use aws_lc_rs::rand;

use super::certificate::{OPTIONS_MAX, PRINCIPALS_MAX};
use super::check::{FORCE_COMMAND, SOURCE_ADDRESS};
use super::{Certificate, CertificateKind, KeyError, PrivateKey, PublicKey};
use crate::wire;

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The key that it is about.
    pub key: PublicKey,
    /// Whether it is for a user or a host.
    pub kind: CertificateKind,
    /// The authority's number for it.
    pub serial: u64,
    /// The authority's words for whom or what it is.
    pub key_id: String,
    /// The names that it is for; at least one.
    pub principals: Vec<String>,
    /// From when on it is valid, in seconds since 1970.
    pub valid_after: u64,
    /// From when on it is no longer valid, in seconds since 1970.
    pub valid_before: u64,
    /// The one command that the holder may run, whatever is asked for. For users only.
    pub force_command: Option<String>,
    /// The addresses or networks (`10.0.0.0/8`) that the holder may come from; empty is anywhere. For users only.
    pub source_addresses: Vec<String>,
    /// What the holder may do beyond a bare command, such as `permit-pty`; the value is empty for these.
    pub extensions: BTreeMap<String, String>,
}

impl Certificate {
    /// Makes a certificate that `authority` signs.
    ///
    /// Refused are requests that could mean more than they say: without names (any name, to some), or with an end
    /// before the start; and those that would not be read again.
    pub fn issue(request: &CertificateRequest, authority: &PrivateKey) -> Result<Self, KeyError> {
        if request.principals.is_empty() || request.principals.iter().any(String::is_empty) {
            return Err(KeyError::Text("a certificate needs names that it is for"));
        }
        if request.valid_after >= request.valid_before {
            return Err(KeyError::Text("a certificate needs a time in which it is valid"));
        }
        let options = request.force_command.is_some() || !request.source_addresses.is_empty();
        if request.kind == CertificateKind::Host && options {
            return Err(KeyError::Text("a host's certificate has no options"));
        }
        if request.principals.len() > PRINCIPALS_MAX || request.extensions.len() > OPTIONS_MAX {
            return Err(KeyError::Text("a certificate has no room for so much"));
        }
        let mut blob = unsigned(request, authority)?;
        let algorithm = authority
            .public_key()
            .key_type()
            .signature_algorithms()
            .first()
            .ok_or(KeyError::Library)?;
        let signature = authority.sign(*algorithm, &blob)?;
        wire::put_string(&mut blob, &signature);
        Self::from_blob(&blob)
    }
}

fn unsigned(request: &CertificateRequest, authority: &PrivateKey) -> Result<Vec<u8>, KeyError> {
    let mut nonce = [0; 32];
    rand::fill(&mut nonce).map_err(|_| KeyError::Library)?;
    let mut blob = Vec::with_capacity(1024);
    wire::put_string(&mut blob, request.key.key_type().certificate_name().as_bytes());
    wire::put_string(&mut blob, &nonce);
    request.key.material().put(&mut blob);
    wire::put_u64(&mut blob, request.serial);
    wire::put_u32(&mut blob, request.kind.number());
    wire::put_string(&mut blob, request.key_id.as_bytes());
    let mut principals = Vec::new();
    for principal in &request.principals {
        wire::put_string(&mut principals, principal.as_bytes());
    }
    wire::put_string(&mut blob, &principals);
    wire::put_u64(&mut blob, request.valid_after);
    wire::put_u64(&mut blob, request.valid_before);
    let mut options = Vec::new();
    if let Some(command) = &request.force_command {
        put_option(&mut options, FORCE_COMMAND, command);
    }
    if !request.source_addresses.is_empty() {
        put_option(&mut options, SOURCE_ADDRESS, &request.source_addresses.join(","));
    }
    wire::put_string(&mut blob, &options);
    let mut extensions = Vec::new();
    for (name, value) in &request.extensions {
        put_option(&mut extensions, name, value);
    }
    wire::put_string(&mut blob, &extensions);
    wire::put_string(&mut blob, b"");
    wire::put_string(&mut blob, authority.public_key().blob());
    Ok(blob)
}

/// A name and its data: nothing, or a `string` in the `string`.
fn put_option(out: &mut Vec<u8>, name: &str, value: &str) {
    wire::put_string(out, name.as_bytes());
    let mut data = Vec::new();
    if !value.is_empty() {
        wire::put_string(&mut data, value.as_bytes());
    }
    wire::put_string(out, &data);
}

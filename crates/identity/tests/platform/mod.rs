//! Platforms as their documentation describes them: what they sign for their machines is made here.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Who signs tokens with ES256.
pub(crate) struct Tokens {
    key: EcdsaKeyPair,
    kid: String,
}

impl Tokens {
    pub(crate) fn new(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            key,
            kid: kid.to_owned(),
        }
    }

    pub(crate) fn jwk(&self, usage: &str) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": self.kid, "use": usage, "alg": "ES256",
            "x": b64(&point[1..33]), "y": b64(&point[33..]),
        })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "ES256", "kid": self.kid, "typ": "JWT" }), claims)
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature.as_ref()))
    }

    /// HMAC with the public key as the secret, which a careless verifier would take.
    pub(crate) fn sign_symmetric(&self, claims: &Value) -> String {
        let header = json!({ "alg": "HS256", "kid": self.kid, "typ": "JWT" });
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let public = self.key.public_key().as_der().unwrap();
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_ref());
        let tag = aws_lc_rs::hmac::sign(&secret, signed.as_bytes());
        format!("{signed}.{}", b64(tag.as_ref()))
    }
}

pub(crate) fn write_keys(path: &Path, keys: &[Value]) {
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

/// A Kubernetes cluster's token for a pod.
pub(crate) fn kubernetes_claims(issuer: &str, audience: &str, account: (&str, &str)) -> Value {
    let (namespace, name) = account;
    json!({
        "iss": issuer, "sub": format!("system:serviceaccount:{namespace}:{name}"), "aud": [audience],
        "iat": now() - 5, "nbf": now() - 5, "exp": now() + 3600, "jti": "0f3c",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": { "name": name, "uid": "11" },
            "pod": { "name": format!("{name}-7d9f"), "uid": "22" },
            "node": { "name": "node-1", "uid": "33" },
        },
    })
}

/// An instance's token at Google's, with `format=full`.
pub(crate) fn gcp_claims(audience: &str) -> Value {
    json!({
        "iss": "https://accounts.google.com", "sub": "1096", "azp": "1096", "aud": audience,
        "iat": now() - 5, "exp": now() + 3600,
        "email": "agent@shop.iam.gserviceaccount.com", "email_verified": true,
        "google": { "compute_engine": {
            "project_id": "shop", "project_number": 739_419, "zone": "europe-west1-b",
            "instance_id": "152986662232938449", "instance_name": "agent-1", "instance_creation_timestamp": 1_800_000_000,
        } },
    })
}

/// Who signs documents with RSA-2048, through OpenSSL.
pub(crate) struct Documents {
    pub(crate) folder: TempDir,
    certificate: Certificate,
}

impl Documents {
    /// With a certificate that is its own.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "documents");
        params.serial_number = Some(vec![7, 7, 7].into());
        let certificate = params.self_signed(&key).unwrap();
        Self::with(certificate, &key)
    }

    /// With a certificate of an authority for a host.
    pub(crate) fn under(authority: &Authority, host: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        Self::with(certificate, &key)
    }

    fn with(certificate: Certificate, key: &KeyPair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("signer.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder, certificate }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("signer.pem")
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// PKCS #7 around `document`, in DER or BER.
    pub(crate) fn sign(&self, document: &Value, options: &[&str]) -> Vec<u8> {
        let path = |name: &str| self.folder.path().join(name);
        std::fs::write(path("document"), document.to_string()).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"]);
        if !options.contains(&"-md") {
            openssl.args(["-md", "sha256"]);
        }
        openssl.args(options).arg("-in").arg(path("document"));
        openssl
            .arg("-signer")
            .arg(path("signer.pem"))
            .arg("-inkey")
            .arg(path("key.pem"));
        let output = openssl.arg("-out").arg(path("signed")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(path("signed")).unwrap()
    }

    /// The same, in lines of base64.
    pub(crate) fn text(&self, document: &Value, options: &[&str]) -> String {
        lines(&self.sign(document, options))
    }
}

/// Base64 as metadata services give it.
pub(crate) fn lines(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    lines.join("\n")
}

/// The identity document of an instance at Amazon's.
pub(crate) fn aws_document(instance: &str) -> Value {
    json!({
        "accountId": "123456789012", "architecture": "x86_64", "availabilityZone": "eu-west-1a",
        "billingProducts": null, "devpayProductCodes": null, "marketplaceProductCodes": null,
        "imageId": "ami-5fb8c835", "instanceId": instance, "instanceType": "t3.micro", "kernelId": null,
        "pendingTime": OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
            .format(&time::format_description::well_known::Rfc3339).unwrap(),
        "privateIp": "10.0.0.7", "ramdiskId": null, "region": "eu-west-1", "version": "2017-09-30",
    })
}

/// The attested document of a machine at Azure's.
pub(crate) fn azure_document(nonce: &str) -> Value {
    let stamp = |at: OffsetDateTime| {
        let (date, time) = (at.date(), at.time());
        format!(
            "{:02}/{:02}/{:02} {:02}:{:02}:{:02} -0000",
            u8::from(date.month()),
            date.day(),
            date.year() - 2000,
            time.hour(),
            time.minute(),
            time.second(),
        )
    };
    let at = OffsetDateTime::now_utc();
    json!({
        "licenseType": "", "nonce": nonce, "plan": { "name": "", "product": "", "publisher": "" }, "sku": "Ubuntu",
        "subscriptionId": "8d10da13-8125-4ba9-a717-bf7490507b3d",
        "timeStamp": { "createdOn": stamp(at), "expiresOn": stamp(at + time::Duration::hours(6)) },
        "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
    })
}

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: Certificate,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.certificate.pem()).unwrap();
    }
}

/// A workload's X.509-SVID, in files as an agent finds them.
pub(crate) struct Svid {
    folder: TempDir,
}

impl Svid {
    pub(crate) fn new(authority: &Authority, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = OffsetDateTime::now_utc() - time::Duration::minutes(1);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::HOUR;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let certificate = params.signed_by(key, &authority.issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("svid.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("svid.key"), key.serialize_pem()).unwrap();
        Self { folder }
    }

    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.path().join("svid.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("svid.key")
    }
}

//! A throw-away certificate authority.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::TestbedError;

/// A certificate authority for tests, valid for a day.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What leads from what it issues to the root, without the root, PEM.
    path: String,
}

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Issued {
    serial: SerialNumber,
    /// The certificate and what leads from it to the root, without the root, PEM.
    pub certificate: String,
    /// The private key, PKCS #8 PEM.
    pub key: String,
}

impl Authority {
    /// Makes an authority with a fresh key.
    ///
    /// # Errors
    /// When key or certificate cannot be made.
    pub fn new() -> Result<Authority, TestbedError> {
        let issuer = CertifiedIssuer::self_signed(authority("Sallyport test authority"), KeyPair::generate()?)?;
        let path = String::new();
        Ok(Authority { issuer, path })
    }

    /// An authority under this one.
    ///
    /// # Errors
    /// When key or certificate cannot be made.
    pub fn intermediate(&self, name: &str) -> Result<Authority, TestbedError> {
        let issuer = CertifiedIssuer::signed_by(authority(name), KeyPair::generate()?, &self.issuer)?;
        let path = format!("{}{}", issuer.pem(), self.path);
        Ok(Authority { issuer, path })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for `names` (DNS names or IP addresses); the first is the common name.
    ///
    /// # Errors
    /// When a name is none, or the certificate cannot be made.
    pub fn server(&self, names: &[&str]) -> Result<Issued, TestbedError> {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        dress(&mut params, names.first().copied().unwrap_or("localhost"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// A client certificate whose common name is `name`.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn client(&self, name: &str) -> Result<Issued, TestbedError> {
        let mut params = base(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// The list of what this authority has revoked, PEM, valid for `hours` from two hours ago.
    ///
    /// # Errors
    /// When the list cannot be made.
    pub fn revoked(&self, issued: &[&Issued], hours: i64) -> Result<String, TestbedError> {
        let begin = OffsetDateTime::now_utc() - Duration::hours(2);
        let revoked = |issued: &&Issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: begin,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: begin,
            next_update: begin + Duration::hours(hours),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: issued.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued, TestbedError> {
        let key = KeyPair::generate()?;
        // Random, as the authority's key is: no two are the same.
        let serial = SerialNumber::from(key.public_key_raw().iter().rev().take(8).copied().collect::<Vec<_>>());
        let mut params = params.clone();
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            serial,
            certificate: certificate.pem() + &self.path,
            key: key.serialize_pem(),
        })
    }
}

impl Issued {
    /// The same without what leads from it to the root.
    #[must_use]
    pub fn without_path(&self) -> Issued {
        let leaf = self.certificate.split_inclusive("-----END CERTIFICATE-----\n").next();
        Issued {
            certificate: leaf.unwrap_or_default().to_owned(),
            ..self.clone()
        }
    }

    /// Writes `<stem>.crt` and `<stem>.key` (mode 0600) into `dir` and returns the two paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path, stem: &str) -> Result<(PathBuf, PathBuf), TestbedError> {
        let certificate = dir.join(format!("{stem}.crt"));
        let key = dir.join(format!("{stem}.key"));
        std::fs::write(&certificate, &self.certificate).map_err(TestbedError::file(&certificate))?;
        write_private(&key, &self.key)?;
        Ok((certificate, key))
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), TestbedError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(TestbedError::file(path))?;
    file.write_all(text.as_bytes()).map_err(TestbedError::file(path))
}

fn authority(name: &str) -> CertificateParams {
    let mut params = base(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn base(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    dress(&mut params, name);
    params
}

fn dress(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(1);
}

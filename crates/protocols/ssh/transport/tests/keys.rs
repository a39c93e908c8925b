//! Keys, signatures and certificates, held against `ssh-keygen`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use sallyport_ssh_transport::keys::{
    Certificate, CertificateError, CertificateKind, CertificateRequest, Curve, KeyError, KeyType, PrivateKey,
    PublicKey, SignatureAlgorithm,
};
use sallyport_ssh_transport::wire;
use tempfile::TempDir;

/// Kind and bits, for `ssh-keygen -t … -b …`.
const KINDS: [(&str, &str); 6] = [
    ("ed25519", "256"),
    ("ecdsa", "256"),
    ("ecdsa", "384"),
    ("ecdsa", "521"),
    ("rsa", "2048"),
    ("rsa", "3072"),
];

const NOW: u64 = 1_800_000_000;

struct Keygen {
    folder: TempDir,
}

impl Keygen {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> String {
        let done = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    fn key(&self, name: &str, kind: (&str, &str), more: &[&str]) -> String {
        let mut arguments = vec!["-q", "-t", kind.0, "-b", kind.1, "-f", name, "-C", "alice@laptop"];
        if !more.contains(&"-N") {
            arguments.extend(["-N", ""]);
        }
        arguments.extend(more);
        self.run(&arguments);
        self.read(name)
    }

    fn public(&self, name: &str) -> PublicKey {
        self.read(&format!("{name}.pub")).parse().unwrap()
    }

    /// A signature by `ssh-keygen -Y sign`: its blob, and what is really signed (PROTOCOL.sshsig).
    fn sign(&self, name: &str, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let file = self.path("message");
        std::fs::write(&file, message).unwrap();
        let _ = std::fs::remove_file(self.path("message.sig"));
        self.run(&["-q", "-Y", "sign", "-f", name, "-n", "test", "message"]);
        let bytes = decode(&self.read("message.sig"));
        let mut reader = wire::Reader::new(&bytes);
        assert_eq!(reader.bytes(6).unwrap(), b"SSHSIG");
        reader.u32().unwrap();
        reader.string().unwrap();
        reader.string().unwrap();
        reader.string().unwrap();
        assert_eq!(reader.string().unwrap(), b"sha512");
        let signature = reader.string().unwrap().to_vec();
        reader.finish().unwrap();
        (signature, signed(message))
    }

    /// Whether `ssh-keygen -Y verify` takes `signature` (a blob over [`signed`]) for `key`'s.
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let mut bytes = b"SSHSIG".to_vec();
        wire::put_u32(&mut bytes, 1);
        wire::put_string(&mut bytes, key.blob());
        wire::put_string(&mut bytes, b"test");
        wire::put_string(&mut bytes, b"");
        wire::put_string(&mut bytes, b"sha512");
        wire::put_string(&mut bytes, signature);
        self.write("ours.sig", &armour("SSH SIGNATURE", &bytes));
        self.write("allowed", &format!("alice {key}\n"));
        let message_file = self.path("message");
        std::fs::write(&message_file, message).unwrap();
        Command::new("ssh-keygen")
            .args([
                "-Y", "verify", "-f", "allowed", "-I", "alice", "-n", "test", "-s", "ours.sig",
            ])
            .current_dir(self.folder.path())
            .stdin(std::fs::File::open(message_file).unwrap())
            .output()
            .unwrap()
            .status
            .success()
    }
}

fn signed(message: &[u8]) -> Vec<u8> {
    let mut signed = b"SSHSIG".to_vec();
    wire::put_string(&mut signed, b"test");
    wire::put_string(&mut signed, b"");
    wire::put_string(&mut signed, b"sha512");
    wire::put_string(&mut signed, digest::digest(&digest::SHA512, message).as_ref());
    signed
}

/// The bytes in a block of PEM.
fn decode(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    BASE64_STANDARD.decode(base64).unwrap()
}

fn armour(label: &str, bytes: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(bytes);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn best(key: &PublicKey) -> SignatureAlgorithm {
    key.key_type().signature_algorithms()[0]
}

#[test]
fn keys_of_every_kind_are_read_as_ssh_keygen_writes_them() {
    let keygen = Keygen::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let name = format!("key{number}");
        let key = PrivateKey::from_pem(&keygen.key(&name, kind, &[]), None).unwrap();
        let public = keygen.public(&name);
        assert_eq!(*key.public_key(), public);
        assert_eq!(key.comment(), "alice@laptop");
        assert_eq!(PublicKey::from_blob(public.blob()).unwrap(), public);
        assert!(keygen.read(&format!("{name}.pub")).starts_with(&public.to_string()));
        let listed = keygen.run(&["-l", "-f", &name]);
        assert!(listed.contains(&format!(" {} ", public.fingerprint())), "{listed}");
    }
}

#[test]
fn signatures_hold_in_both_directions() {
    let keygen = Keygen::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let name = format!("key{number}");
        let key = PrivateKey::from_pem(&keygen.key(&name, kind, &[]), None).unwrap();
        let public = key.public_key();
        // More than once: the numbers of ECDSA have zeros in front now and then.
        for round in 0..4u8 {
            let message = [b'm', round];
            let (theirs, over) = keygen.sign(&name, &message);
            public.verify(best(public), &over, &theirs).unwrap();
            assert_eq!(public.verify(best(public), b"else", &theirs), Err(KeyError::Signature));
            for algorithm in public.key_type().signature_algorithms() {
                let ours = key.sign(*algorithm, &signed(&message)).unwrap();
                public.verify(*algorithm, &signed(&message), &ours).unwrap();
                assert!(keygen.verifies(public, &message, &ours), "{algorithm:?}");
                assert!(!keygen.verifies(public, b"else", &ours), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn a_signature_is_by_the_agreed_algorithm_or_refused() {
    let keygen = Keygen::new();
    let rsa = PrivateKey::from_pem(&keygen.key("rsa", ("rsa", "2048"), &[]), None).unwrap();
    let weaker = rsa.sign(SignatureAlgorithm::RsaSha256, b"m").unwrap();
    assert_eq!(
        rsa.public_key().verify(SignatureAlgorithm::RsaSha512, b"m", &weaker),
        Err(KeyError::Algorithm)
    );
    assert_eq!(
        rsa.public_key().verify(SignatureAlgorithm::Ed25519, b"m", &weaker),
        Err(KeyError::Algorithm)
    );
    assert!(rsa.sign(SignatureAlgorithm::Ed25519, b"m").is_err());
    assert_eq!(SignatureAlgorithm::from_name("ssh-rsa"), None, "SHA-1");
    // The name that SHA-1 had, over a signature that is good otherwise.
    let mut renamed = Vec::new();
    wire::put_string(&mut renamed, b"ssh-rsa");
    renamed.extend_from_slice(&weaker[4 + "rsa-sha2-256".len()..]);
    assert_eq!(
        rsa.public_key().verify(SignatureAlgorithm::RsaSha256, b"m", &renamed),
        Err(KeyError::Algorithm)
    );
}

#[test]
fn a_signature_with_any_byte_changed_is_refused() {
    for key in [
        PrivateKey::generate_ed25519().unwrap(),
        PrivateKey::generate_ecdsa(Curve::P384).unwrap(),
    ] {
        let algorithm = best(key.public_key());
        let signature = key.sign(algorithm, b"message").unwrap();
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 0x10;
            assert!(
                key.public_key().verify(algorithm, b"message", &changed).is_err(),
                "byte {at}"
            );
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert!(key.public_key().verify(algorithm, b"message", &longer).is_err());
    }
}

#[test]
fn encrypted_keys_open_with_their_passphrase_only() {
    let keygen = Keygen::new();
    let ciphers = [
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
        "aes256-cbc",
        "aes128-cbc",
        "aes256-gcm@openssh.com",
    ];
    for (number, cipher) in ciphers.into_iter().enumerate() {
        let name = format!("key{number}");
        let kind = KINDS[number % KINDS.len()];
        let text = keygen.key(&name, kind, &["-N", "open sesame", "-Z", cipher, "-a", "4"]);
        assert_eq!(
            PrivateKey::from_pem(&text, None).unwrap_err(),
            KeyError::PassphraseNeeded
        );
        assert_eq!(
            PrivateKey::from_pem(&text, Some(b"guess")).unwrap_err(),
            KeyError::WrongPassphrase
        );
        let key = PrivateKey::from_pem(&text, Some(b"open sesame")).unwrap();
        assert_eq!(*key.public_key(), keygen.public(&name), "{cipher}");
    }
    let text = keygen.key(
        "chacha",
        KINDS[0],
        &["-N", "open sesame", "-Z", "chacha20-poly1305@openssh.com"],
    );
    let refused = PrivateKey::from_pem(&text, Some(b"open sesame")).unwrap_err();
    assert_eq!(refused, KeyError::Cipher("chacha20-poly1305@openssh.com".to_owned()));
    let mut bytes = decode(&keygen.key("slow", KINDS[0], &["-N", "x", "-a", "4"]));
    let at = bytes.windows(6).position(|window| window == b"bcrypt").unwrap() + 6 + 4 + 4 + 16;
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let refused = PrivateKey::from_pem(&armour("OPENSSH PRIVATE KEY", &bytes), Some(b"x")).unwrap_err();
    assert_eq!(refused, KeyError::Text("it asks for too many rounds of key derivation"));
}

#[test]
fn older_formats_are_read() {
    let keygen = Keygen::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        for format in ["PEM", "PKCS8"] {
            // OpenSSH 9.2 has no PKCS#8 for Ed25519; see the next test.
            if kind.0 == "ed25519" {
                continue;
            }
            let name = format!("key{number}{format}");
            let text = keygen.key(&name, kind, &["-m", format]);
            assert!(!text.contains("OPENSSH"), "{text}");
            let key = PrivateKey::from_pem(&text, None).unwrap();
            assert_eq!(*key.public_key(), keygen.public(&name));
            let again = PrivateKey::from_pem(&key.to_openssh_pem("").unwrap(), None).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let encrypted = format!("{name}-encrypted");
            let text = keygen.key(&encrypted, kind, &["-m", format, "-N", "open sesame"]);
            assert!(matches!(
                PrivateKey::from_pem(&text, Some(b"open sesame")),
                Err(KeyError::Cipher(_))
            ));
        }
    }
}

/// The key of RFC 8410 section 10.3.
#[test]
fn ed25519_is_read_from_pkcs8() {
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                -----END PRIVATE KEY-----\n";
    let key = PrivateKey::from_pem(text, None).unwrap();
    let point = BASE64_STANDARD
        .decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
        .unwrap();
    assert_eq!(&key.public_key().blob()[19..], point);
}

#[test]
fn keys_that_are_written_here_are_read_by_ssh_keygen() {
    let keygen = Keygen::new();
    let mut keys = vec![PrivateKey::generate_ed25519().unwrap()];
    keys.extend(Curve::ALL.map(|curve| PrivateKey::generate_ecdsa(curve).unwrap()));
    keys.push(PrivateKey::from_pem(&keygen.key("rsa", ("rsa", "3072"), &[]), None).unwrap());
    for (number, key) in keys.iter().enumerate() {
        let path = keygen.write(&format!("ours{number}"), &key.to_openssh_pem("from here").unwrap());
        let line = keygen.run(&["-y", "-f", path.to_str().unwrap()]);
        assert_eq!(line.trim_end(), format!("{} from here", key.public_key()));
        let (signature, over) = keygen.sign(path.to_str().unwrap(), b"m");
        key.public_key()
            .verify(best(key.public_key()), &over, &signature)
            .unwrap();
    }
}

#[test]
fn weak_and_odd_keys_are_refused() {
    let keygen = Keygen::new();
    let short = keygen.key("short", ("rsa", "1024"), &[]);
    assert_eq!(PrivateKey::from_pem(&short, None).unwrap_err(), KeyError::RsaBits(1024));
    assert_eq!(
        keygen.read("short.pub").parse::<PublicKey>().unwrap_err(),
        KeyError::RsaBits(1024)
    );
    let good = PrivateKey::generate_ecdsa(Curve::P256).unwrap();
    let mut blob = good.public_key().blob().to_vec();
    *blob.last_mut().unwrap() ^= 1;
    assert_eq!(
        PublicKey::from_blob(&blob).unwrap_err(),
        KeyError::Invalid,
        "a point beside the curve"
    );
    blob.push(0);
    assert!(PublicKey::from_blob(&blob).is_err());
    let line = good
        .public_key()
        .to_string()
        .replacen("ecdsa-sha2-nistp256", "ssh-ed25519", 1);
    assert_eq!(
        line.parse::<PublicKey>().unwrap_err(),
        KeyError::Text("its two types differ")
    );
    let mut dss = Vec::new();
    wire::put_string(&mut dss, b"ssh-dss");
    assert_eq!(
        PublicKey::from_blob(&dss).unwrap_err(),
        KeyError::Unsupported("ssh-dss".to_owned())
    );
}

/// The private part of one key in the file of another would sign in the other's name.
#[test]
fn a_file_whose_two_parts_are_not_one_key_is_refused() {
    let a = PrivateKey::generate_ed25519().unwrap();
    let b = PrivateKey::generate_ed25519().unwrap();
    let text = a.to_openssh_pem("").unwrap();
    let mut bytes = decode(&text);
    let at = bytes
        .windows(32)
        .position(|window| window == &a.public_key().blob()[19..])
        .unwrap();
    bytes[at..at + 32].copy_from_slice(&b.public_key().blob()[19..]);
    let mixed = armour("OPENSSH PRIVATE KEY", &bytes);
    assert_eq!(PrivateKey::from_pem(&mixed, None).unwrap_err(), KeyError::Invalid);
}

#[test]
fn a_private_key_does_not_print_itself() {
    let key = PrivateKey::generate_ed25519().unwrap();
    let printed = format!("{key:?}");
    assert_eq!(
        printed,
        format!("PrivateKey(ssh-ed25519 {})", key.public_key().fingerprint())
    );
}

/// A key as a security key would have it for `ssh:`, and a way to have it sign.
fn security_key(kind: KeyType, inner: &PrivateKey) -> PublicKey {
    let mut blob = Vec::new();
    wire::put_string(&mut blob, kind.name().as_bytes());
    blob.extend_from_slice(&inner.public_key().blob()[4 + inner.public_key().key_type().name().len()..]);
    wire::put_string(&mut blob, b"ssh:");
    PublicKey::from_blob(&blob).unwrap()
}

fn security_key_signs(kind: KeyType, inner: &PrivateKey, application: &[u8], flags: u8, message: &[u8]) -> Vec<u8> {
    let mut signed = digest::digest(&digest::SHA256, application).as_ref().to_vec();
    wire::put_u8(&mut signed, flags);
    wire::put_u32(&mut signed, 1234);
    signed.extend_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    let signature = inner.sign(best(inner.public_key()), &signed).unwrap();
    let mut blob = Vec::new();
    wire::put_string(&mut blob, kind.name().as_bytes());
    blob.extend_from_slice(&signature[4 + inner.public_key().key_type().name().len()..]);
    wire::put_u8(&mut blob, flags);
    wire::put_u32(&mut blob, 1234);
    blob
}

#[test]
fn security_keys_are_believed_when_they_were_touched() {
    let keygen = Keygen::new();
    let inner = [
        PrivateKey::generate_ed25519().unwrap(),
        PrivateKey::generate_ecdsa(Curve::P256).unwrap(),
    ];
    for (kind, inner) in [KeyType::SkEd25519, KeyType::SkEcdsa].into_iter().zip(&inner) {
        let key = security_key(kind, inner);
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        let algorithm = best(&key);
        let sign = |application: &[u8], flags| security_key_signs(kind, inner, application, flags, &signed(b"message"));
        let good = sign(b"ssh:", 1);
        key.verify(algorithm, &signed(b"message"), &good).unwrap();
        key.verify(algorithm, &signed(b"message"), &sign(b"ssh:", 5)).unwrap();
        assert!(
            keygen.verifies(&key, b"message", &good),
            "the test signs as OpenSSH expects it"
        );
        assert_eq!(key.verify(algorithm, b"else", &good), Err(KeyError::Signature));
        assert_eq!(
            key.verify(algorithm, &signed(b"message"), &sign(b"ssh:", 0)),
            Err(KeyError::NotTouched)
        );
        assert_eq!(
            key.verify(algorithm, &signed(b"message"), &sign(b"ssh:", 4)),
            Err(KeyError::NotTouched)
        );
        let elsewhere = sign(b"https://example.com", 1);
        assert_eq!(
            key.verify(algorithm, &signed(b"message"), &elsewhere),
            Err(KeyError::Signature)
        );
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 2;
            assert!(
                key.verify(algorithm, &signed(b"message"), &changed).is_err(),
                "byte {at}"
            );
        }
        assert!(
            key.verify(best(inner.public_key()), &signed(b"message"), &good)
                .is_err()
        );
        let authority = PrivateKey::generate_ed25519().unwrap();
        let certificate = Certificate::issue(&request(&key, CertificateKind::User), &authority).unwrap();
        let path = keygen.write("sk-cert.pub", &format!("{certificate}\n"));
        assert!(
            keygen
                .run(&["-L", "-f", path.to_str().unwrap()])
                .contains(&key.fingerprint())
        );
    }
}

/// Every kind of key, certified by every kind of authority.
#[test]
fn certificates_by_ssh_keygen_are_read_and_checked() {
    let keygen = Keygen::new();
    for (number, authority) in KINDS.into_iter().enumerate() {
        keygen.key(&format!("ca{number}"), authority, &[]);
        keygen.key(&format!("user{number}"), authority, &[]);
    }
    for ca in 0..KINDS.len() {
        for user in 0..KINDS.len() {
            let name = format!("user{user}");
            keygen.run(&[
                "-q",
                "-s",
                &format!("ca{ca}"),
                "-I",
                "alice from sales",
                "-n",
                "alice,bob",
                "-z",
                "77",
                "-V",
                "20250101000000:20350101000000",
                "-O",
                "force-command=/bin/true",
                "-O",
                "source-address=10.0.0.0/8",
                "-O",
                "no-x11-forwarding",
                &format!("{name}.pub"),
            ]);
            let certificate: Certificate = keygen.read(&format!("{name}-cert.pub")).parse().unwrap();
            assert_eq!(*certificate.key(), keygen.public(&name));
            assert_eq!((certificate.serial(), certificate.key_id()), (77, "alice from sales"));
            assert_eq!(certificate.kind(), CertificateKind::User);
            assert_eq!(certificate.principals(), ["alice", "bob"]);
            assert!(certificate.extension("permit-pty").is_some());
            assert!(certificate.extension("permit-X11-forwarding").is_none());
            let authorities = [keygen.public(&format!("ca{ca}"))];
            let source = "10.1.2.3".parse().ok();
            let verified = certificate
                .check(&authorities, CertificateKind::User, "bob", NOW, source)
                .unwrap();
            assert_eq!(verified.force_command(), Some("/bin/true"));
        }
    }
}

fn request(key: &PublicKey, kind: CertificateKind) -> CertificateRequest {
    CertificateRequest {
        key: key.clone(),
        kind,
        serial: 9,
        key_id: "alice for OPS-42".to_owned(),
        principals: vec!["alice".to_owned(), "*.example.com".to_owned()],
        valid_after: NOW - 60,
        valid_before: NOW + 60,
        force_command: None,
        source_addresses: Vec::new(),
        extensions: BTreeMap::new(),
    }
}

#[test]
fn certificates_that_are_made_here_are_understood_by_ssh_keygen() {
    let keygen = Keygen::new();
    let rsa = PrivateKey::from_pem(&keygen.key("rsa", ("rsa", "2048"), &[]), None).unwrap();
    let ecdsa = PrivateKey::generate_ecdsa(Curve::P521).unwrap();
    let ed25519 = PrivateKey::generate_ed25519().unwrap();
    for authority in [&rsa, &ecdsa, &ed25519] {
        for key in [&rsa, &ecdsa, &ed25519] {
            let mut request = request(key.public_key(), CertificateKind::User);
            request.force_command = Some("uptime".to_owned());
            request.source_addresses = vec!["192.0.2.0/24".to_owned(), "::1".to_owned()];
            request.extensions.insert("permit-pty".to_owned(), String::new());
            request
                .extensions
                .insert("task@example.com".to_owned(), "OPS-42".to_owned());
            let certificate = Certificate::issue(&request, authority).unwrap();
            let path = keygen.write("ours-cert.pub", &format!("{certificate} comment\n"));
            let listed = keygen.run(&["-L", "-f", path.to_str().unwrap()]);
            for expected in [
                "user certificate",
                &authority.public_key().fingerprint(),
                &key.public_key().fingerprint(),
                "Key ID: \"alice for OPS-42\"",
                "Serial: 9",
                "force-command uptime",
                "source-address 192.0.2.0/24,::1",
                "permit-pty",
                "*.example.com",
            ] {
                assert!(listed.contains(expected), "{expected} in {listed}");
            }
        }
    }
}

/// Each attack on the check by itself, against a certificate that is good otherwise.
#[test]
fn a_certificate_that_is_wrong_in_one_thing_is_refused_for_it() {
    let authority = PrivateKey::generate_ed25519().unwrap();
    let stranger = PrivateKey::generate_ed25519().unwrap();
    let key = PrivateKey::generate_ecdsa(Curve::P256).unwrap();
    let authorities = [authority.public_key().clone()];
    let good = request(key.public_key(), CertificateKind::User);
    let issue = |change: &dyn Fn(&mut CertificateRequest), by: &PrivateKey| {
        let mut request = good.clone();
        change(&mut request);
        Certificate::issue(&request, by).unwrap()
    };
    let check = |certificate: &Certificate| {
        certificate
            .check(&authorities, CertificateKind::User, "alice", NOW, None)
            .map(|_| ())
    };
    let same = |_: &mut CertificateRequest| {};
    assert_eq!(check(&issue(&same, &authority)), Ok(()));
    let by_stranger = CertificateError::Authority(stranger.public_key().fingerprint());
    assert_eq!(check(&issue(&same, &stranger)), Err(by_stranger));
    let certificate = issue(&same, &authority);
    let refused = certificate
        .check(&[], CertificateKind::User, "alice", NOW, None)
        .unwrap_err();
    assert!(matches!(refused, CertificateError::Authority(_)));
    let refused = certificate
        .check(&authorities, CertificateKind::User, "root", NOW, None)
        .unwrap_err();
    assert_eq!(refused, CertificateError::Principal("root".to_owned()));
    let wild = certificate
        .check(&authorities, CertificateKind::User, "a.example.com", NOW, None)
        .unwrap_err();
    assert_eq!(
        wild,
        CertificateError::Principal("a.example.com".to_owned()),
        "users have no wildcards"
    );
    let refused = certificate
        .check(&authorities, CertificateKind::Host, "alice", NOW, None)
        .unwrap_err();
    assert_eq!(refused, CertificateError::Kind);
    let refused = check(&issue(&|request| request.valid_after = NOW + 1, &authority));
    assert_eq!(refused, Err(CertificateError::NotYetValid(NOW + 1)));
    let refused = check(&issue(&|request| request.valid_before = NOW, &authority));
    assert_eq!(refused, Err(CertificateError::Expired(NOW)));
    let elsewhere = issue(
        &|request| request.source_addresses = vec!["10.0.0.0/8".to_owned()],
        &authority,
    );
    assert_eq!(
        check(&elsewhere),
        Err(CertificateError::SourceAddress),
        "an unknown address meets no condition"
    );
    let host = issue(&|request| request.kind = CertificateKind::Host, &authority);
    assert!(
        host.check(&authorities, CertificateKind::Host, "WEB.example.com", NOW, None)
            .is_ok()
    );
    assert!(
        host.check(&authorities, CertificateKind::Host, "example.org", NOW, None)
            .is_err()
    );
}

#[test]
fn a_certificate_with_any_byte_changed_is_refused() {
    let authority = PrivateKey::generate_ed25519().unwrap();
    let key = PrivateKey::generate_ed25519().unwrap();
    let mut request = request(key.public_key(), CertificateKind::User);
    request.force_command = Some("uptime".to_owned());
    request.extensions.insert("permit-pty".to_owned(), String::new());
    let certificate = Certificate::issue(&request, &authority).unwrap();
    for at in 0..certificate.blob().len() {
        for bit in [0x01, 0x80] {
            let mut changed = certificate.blob().to_vec();
            changed[at] ^= bit;
            let Ok(changed) = Certificate::from_blob(&changed) else {
                continue;
            };
            let checked = changed.check(
                &[authority.public_key().clone()],
                CertificateKind::User,
                "alice",
                NOW,
                None,
            );
            assert!(checked.is_err(), "byte {at}");
        }
    }
}

/// Both are made with `ssh-keygen`, which lets them be made.
#[test]
fn certificates_for_everybody_and_with_unknown_conditions_are_refused() {
    let keygen = Keygen::new();
    keygen.key("ca", KINDS[0], &[]);
    keygen.key("user", KINDS[0], &[]);
    let authorities = [keygen.public("ca")];
    let check = || {
        let certificate: Certificate = keygen.read("user-cert.pub").parse().unwrap();
        certificate
            .check(&authorities, CertificateKind::User, "alice", NOW, None)
            .map(|_| ())
    };
    keygen.run(&["-q", "-s", "ca", "-I", "x", "user.pub"]);
    assert_eq!(check(), Err(CertificateError::NoPrincipals));
    keygen.run(&[
        "-q",
        "-s",
        "ca",
        "-I",
        "x",
        "-n",
        "alice",
        "-O",
        "critical:only-when@example.com=full-moon",
        "user.pub",
    ]);
    assert_eq!(
        check(),
        Err(CertificateError::CriticalOption("only-when@example.com".to_owned()))
    );
    keygen.run(&[
        "-q",
        "-s",
        "ca",
        "-I",
        "x",
        "-n",
        "alice",
        "-O",
        "extension:more@example.com=x",
        "user.pub",
    ]);
    assert_eq!(check(), Ok(()), "extensions that are not known are passed over");
    keygen.run(&["-q", "-s", "ca", "-h", "-I", "x", "-n", "alice", "user.pub"]);
    assert_eq!(check(), Err(CertificateError::Kind));
    let blob = keygen
        .read("user-cert.pub")
        .parse::<Certificate>()
        .unwrap()
        .blob()
        .to_vec();
    assert_eq!(PublicKey::from_blob(&blob).unwrap_err(), KeyError::IsCertificate);
}

#[test]
fn requests_that_mean_more_than_they_say_are_not_signed() {
    let authority = PrivateKey::generate_ed25519().unwrap();
    let good = request(authority.public_key(), CertificateKind::User);
    let refused = |change: &dyn Fn(&mut CertificateRequest)| {
        let mut request = good.clone();
        change(&mut request);
        Certificate::issue(&request, &authority).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|request| request.principals.clear()));
    assert!(refused(&|request| request.principals.push(String::new())));
    assert!(refused(&|request| request.valid_before = request.valid_after));
    assert!(refused(&|request| request.key_id = "two\nlines".to_owned()));
    assert!(refused(&|request| request.principals = vec!["x".to_owned(); 257]));
    assert!(refused(&|request| {
        request.kind = CertificateKind::Host;
        request.force_command = Some("uptime".to_owned());
    }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text: String, kind in 0..7usize, cut: usize, at: usize, bit in 0..8u8) {
        let _ = PublicKey::from_blob(&bytes);
        let _ = Certificate::from_blob(&bytes);
        let _ = text.parse::<PublicKey>();
        let _ = PrivateKey::from_pem(&text, Some(&bytes));
        let kind = KeyType::ALL[kind];
        for name in [kind.name(), kind.certificate_name()] {
            let mut blob = Vec::new();
            wire::put_string(&mut blob, name.as_bytes());
            blob.extend_from_slice(&bytes);
            let _ = PublicKey::from_blob(&blob);
            let _ = Certificate::from_blob(&blob);
        }
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
            let _ = PrivateKey::from_pem(&armour(label, &bytes), None);
        }
        let authority = PrivateKey::generate_ed25519().unwrap();
        let request = request(authority.public_key(), CertificateKind::User);
        let mut blob = Certificate::issue(&request, &authority).unwrap().blob().to_vec();
        let at = at % blob.len();
        blob[at] ^= 1u8 << bit;
        blob.truncate(cut % (blob.len() + 1));
        let _ = Certificate::from_blob(&blob);
    }
}

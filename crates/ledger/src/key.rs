//! The master key of the recordings, and the data key of each file.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

use crate::error::LedgerError;

/// Bytes of every key here.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a wrapped data key: the key and its authentication tag.
pub(crate) const WRAPPED_BYTES: usize = KEY_BYTES + 16;

/// The 32-byte master key that wraps the data key of every recording. Cheap to clone; never printed.
#[derive(Clone)]
pub struct RecordingKey(Arc<SecretBox<[u8; KEY_BYTES]>>);

impl fmt::Debug for RecordingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingKey(…)")
    }
}

impl RecordingKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(bytes))))
    }

    /// Reads the key from `path`, or makes one there (mode 0600, in directories of mode 0700) if the file
    /// does not exist.
    ///
    /// # Errors
    /// [`LedgerError::Io`], or [`LedgerError::KeyFile`] if the file holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, LedgerError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::from_text(&Zeroizing::new(text), path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(LedgerError::io("read the recording key", path, source)),
        }
    }

    fn from_text(text: &str, path: &Path) -> Result<Self, LedgerError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), bytes.as_mut()).map_err(|_| LedgerError::KeyFile(path.to_owned()))?;
        Ok(Self::new(*bytes))
    }

    fn create(path: &Path) -> Result<Self, LedgerError> {
        let bytes = random_key()?;
        if let Some(parent) = path.parent() {
            make_private_dir(parent)?;
        }
        // Linking a finished file makes the creation atomic: a crash leaves no half key, and of two
        // processes that start at once, both end up with the key of the first.
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let io = |action| move |source| LedgerError::io(action, path, source);
        write_private(&draft, hex::encode(*bytes).as_bytes()).map_err(io("write the recording key"))?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft).map_err(io("remove the draft of the recording key"))?;
        match linked {
            Ok(()) => Ok(Self::new(*bytes)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let text = Zeroizing::new(fs::read_to_string(path).map_err(io("read the recording key"))?);
                Self::from_text(&text, path)
            }
            Err(source) => Err(LedgerError::io("make the recording key", path, source)),
        }
    }

    /// Wraps `data_key` for the file whose preamble starts with `prefix`. The wrapping key is derived from
    /// the prefix, which holds the file's id and a random salt, so a fixed nonce is never used twice.
    pub(crate) fn wrap(&self, prefix: &[u8], data_key: &[u8; KEY_BYTES]) -> Result<[u8; WRAPPED_BYTES], LedgerError> {
        let failed = |_| LedgerError::Crypto("wrapping a data key");
        let mut wrapped = [0; WRAPPED_BYTES];
        let (body, tag_slot) = wrapped.split_at_mut(KEY_BYTES);
        body.copy_from_slice(data_key);
        let tag = self
            .wrapping_key(prefix)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(prefix), body)
            .map_err(failed)?;
        tag_slot.copy_from_slice(tag.as_ref());
        Ok(wrapped)
    }

    /// The data key of the file whose preamble starts with `prefix`, or `None` if it does not open.
    pub(crate) fn unwrap(
        &self,
        prefix: &[u8],
        wrapped: &[u8; WRAPPED_BYTES],
    ) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, LedgerError> {
        let mut body = Zeroizing::new(*wrapped);
        let opened = self.wrapping_key(prefix)?.open_in_place(
            Nonce::assume_unique_for_key([0; 12]),
            Aad::from(prefix),
            body.as_mut(),
        );
        let Ok(Some(plain)) = opened.map(|plain| plain.first_chunk::<KEY_BYTES>()) else {
            return Ok(None);
        };
        Ok(Some(Zeroizing::new(*plain)))
    }

    fn wrapping_key(&self, prefix: &[u8]) -> Result<LessSafeKey, LedgerError> {
        let derived = Zeroizing::new(*blake3::keyed_hash(self.0.expose_secret(), prefix).as_bytes());
        aead_key(&derived)
    }
}

/// A fresh random key.
pub(crate) fn random_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, LedgerError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    fill_random(bytes.as_mut())?;
    Ok(bytes)
}

/// Fills `bytes` from the system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), LedgerError> {
    rand::fill(bytes).map_err(|_| LedgerError::Crypto("drawing random bytes"))
}

/// The AES-256-GCM key made of `bytes`.
pub(crate) fn aead_key(bytes: &[u8; KEY_BYTES]) -> Result<LessSafeKey, LedgerError> {
    let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| LedgerError::Crypto("preparing a key"))?;
    Ok(LessSafeKey::new(key))
}

/// Makes `dir` and its missing parents, readable by this user alone.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), LedgerError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| LedgerError::io("make the directory", dir, source))
}

/// Writes a new file of mode 0600 and syncs it.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

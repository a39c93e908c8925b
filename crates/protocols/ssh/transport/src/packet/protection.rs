//! How the ciphers and codes seal one packet: `length ‖ padding_length ‖ payload ‖ padding`, then the tag.

use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, hmac};

use super::{KeyMaterial, Mac, PacketError, Suite, Usage};

const GCM_TAG: usize = 16;
const AES_BLOCK: usize = 16;

/// The keys of the sending direction.
pub(super) enum Sealing {
    Clear,
    /// No keys for good: the stream is protected otherwise.
    Carried,
    Gcm(Gcm),
    ChaCha(Box<chacha::SealingKey>),
    Ctr(Box<Ctr>),
}

/// What follows a packet.
pub(super) enum Tag {
    None,
    Short([u8; 16]),
    Code(hmac::Tag),
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Short(tag) => tag,
            Self::Code(tag) => tag.as_ref(),
        }
    }
}

impl Sealing {
    /// The longest tag, of HMAC with SHA-512.
    pub(super) const TAG_MAX: usize = 64;

    pub(super) fn new(suite: Suite, keys: &KeyMaterial) -> Result<Self, PacketError> {
        if let Some(gcm) = Gcm::new(suite, keys)? {
            return Ok(Self::Gcm(gcm));
        }
        if let Some(ctr) = Ctr::new(suite, keys)? {
            return Ok(Self::Ctr(ctr));
        }
        Ok(Self::ChaCha(Box::new(chacha::SealingKey::new(chacha_key(keys)?))))
    }

    pub(super) fn block(&self) -> usize {
        match self {
            Self::Clear | Self::Carried | Self::ChaCha(_) => 8,
            Self::Gcm(_) | Self::Ctr(_) => AES_BLOCK,
        }
    }

    /// Whether the length does not count among what is aligned to blocks.
    pub(super) fn length_is_apart(&self) -> bool {
        match self {
            Self::Clear | Self::Carried => false,
            Self::Gcm(_) | Self::ChaCha(_) => true,
            Self::Ctr(ctr) => ctr.etm,
        }
    }

    /// Counts a packet under these keys, if there are any that could be used up.
    pub(super) fn count(&self, usage: &mut Usage, length: usize) -> Result<(), PacketError> {
        match self {
            Self::Carried => Ok(()),
            Self::Clear | Self::Gcm(_) | Self::ChaCha(_) | Self::Ctr(_) => usage.add(length),
        }
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<Tag, PacketError> {
        match self {
            Self::Clear | Self::Carried => Ok(Tag::None),
            Self::Gcm(gcm) => gcm.seal(packet),
            Self::ChaCha(key) => {
                let mut tag = [0; chacha::TAG_LEN];
                key.seal_in_place(sequence, packet, &mut tag);
                Ok(Tag::Short(tag))
            }
            Self::Ctr(ctr) => ctr.seal(sequence, packet).map(Tag::Code),
        }
    }
}

/// The keys of the receiving direction.
pub(super) enum Opening {
    Clear,
    /// No keys for good: the stream is protected otherwise.
    Carried,
    Gcm(Gcm),
    ChaCha(Box<chacha::OpeningKey>),
    Ctr(Box<Ctr>),
}

impl Opening {
    pub(super) fn new(suite: Suite, keys: &KeyMaterial) -> Result<Self, PacketError> {
        if let Some(gcm) = Gcm::new(suite, keys)? {
            return Ok(Self::Gcm(gcm));
        }
        if let Some(ctr) = Ctr::new(suite, keys)? {
            return Ok(Self::Ctr(ctr));
        }
        Ok(Self::ChaCha(Box::new(chacha::OpeningKey::new(chacha_key(keys)?))))
    }

    pub(super) fn block(&self) -> usize {
        match self {
            Self::Clear | Self::Carried | Self::ChaCha(_) => 8,
            Self::Gcm(_) | Self::Ctr(_) => AES_BLOCK,
        }
    }

    pub(super) fn length_is_apart(&self) -> bool {
        match self {
            Self::Clear | Self::Carried => false,
            Self::Gcm(_) | Self::ChaCha(_) => true,
            Self::Ctr(ctr) => ctr.etm,
        }
    }

    /// How many bytes it takes to know a packet's length.
    pub(super) fn head(&self) -> usize {
        match self {
            Self::Clear | Self::Carried | Self::Gcm(_) | Self::ChaCha(_) => 4,
            Self::Ctr(ctr) => {
                if ctr.etm {
                    4
                } else {
                    AES_BLOCK
                }
            }
        }
    }

    /// Counts a packet under these keys, if there are any that could be used up.
    pub(super) fn count(&self, usage: &mut Usage, length: usize) -> Result<(), PacketError> {
        match self {
            Self::Carried => Ok(()),
            Self::Clear | Self::Gcm(_) | Self::ChaCha(_) | Self::Ctr(_) => usage.add(length),
        }
    }

    pub(super) fn tag(&self) -> usize {
        match self {
            Self::Clear | Self::Carried => 0,
            Self::Gcm(_) => GCM_TAG,
            Self::ChaCha(_) => chacha::TAG_LEN,
            Self::Ctr(ctr) => ctr.mac.algorithm().tag_len(),
        }
    }

    /// What the packet that starts with `head` says its length is. Called once for each packet.
    pub(super) fn length(&mut self, sequence: u32, head: &mut [u8]) -> Result<usize, PacketError> {
        if let Self::Ctr(ctr) = self
            && !ctr.etm
        {
            ctr.apply(head)?;
        }
        let mut length = *head.first_chunk::<4>().ok_or(PacketError::Corrupt)?;
        if let Self::ChaCha(key) = self {
            length = key.decrypt_packet_length(sequence, length);
        }
        usize::try_from(u32::from_be_bytes(length)).map_err(|_| PacketError::Corrupt)
    }

    /// Checks the seal of a whole packet with its tag, and decrypts it where it is.
    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), PacketError> {
        let body = packet.len().checked_sub(self.tag()).ok_or(PacketError::Corrupt)?;
        let (packet, tag) = packet.split_at_mut_checked(body).ok_or(PacketError::Corrupt)?;
        match self {
            Self::Clear | Self::Carried => Ok(()),
            Self::Gcm(gcm) => gcm.open(packet, tag),
            Self::ChaCha(key) => {
                let tag = tag.first_chunk().ok_or(PacketError::Corrupt)?;
                key.open_in_place(sequence, packet, tag)
                    .map(|_| ())
                    .map_err(|_| PacketError::Corrupt)
            }
            Self::Ctr(ctr) => ctr.open(sequence, packet, tag),
        }
    }
}

fn chacha_key(keys: &KeyMaterial) -> Result<&[u8; chacha::KEY_LEN], PacketError> {
    keys.key.as_slice().try_into().map_err(|_| PacketError::Library)
}

/// AES in Galois counter mode (RFC 5647 section 7): the length stays readable and is authenticated.
pub(super) struct Gcm {
    key: LessSafeKey,
    fixed: [u8; 4],
    invocation: u64,
}

impl Gcm {
    fn new(suite: Suite, keys: &KeyMaterial) -> Result<Option<Self>, PacketError> {
        let Some(algorithm) = suite.cipher.gcm() else {
            return Ok(None);
        };
        let key = UnboundKey::new(algorithm, &keys.key).map_err(|_| PacketError::Library)?;
        let (fixed, invocation) = keys.iv.split_first_chunk().ok_or(PacketError::Library)?;
        let invocation = u64::from_be_bytes(invocation.try_into().map_err(|_| PacketError::Library)?);
        Ok(Some(Self {
            key: LessSafeKey::new(key),
            fixed: *fixed,
            invocation,
        }))
    }

    /// The next nonce. None comes twice: keys are replaced long before 2^64 packets.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        let (fixed, invocation) = nonce.split_at_mut(4);
        fixed.copy_from_slice(&self.fixed);
        invocation.copy_from_slice(&self.invocation.to_be_bytes());
        self.invocation = self.invocation.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, packet: &mut [u8]) -> Result<Tag, PacketError> {
        let nonce = self.nonce();
        let (length, body) = packet.split_first_chunk_mut::<4>().ok_or(PacketError::Library)?;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*length), body)
            .map_err(|_| PacketError::Library)?;
        Ok(Tag::Short(tag.as_ref().try_into().map_err(|_| PacketError::Library)?))
    }

    fn open(&mut self, packet: &mut [u8], tag: &[u8]) -> Result<(), PacketError> {
        let nonce = self.nonce();
        let (length, body) = packet.split_first_chunk_mut::<4>().ok_or(PacketError::Corrupt)?;
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(&*length), tag, body)
            .map(|_| ())
            .map_err(|_| PacketError::Corrupt)
    }
}

/// AES in counter mode (RFC 4344 section 4) with a code over what is encrypted, or over what is not.
pub(super) struct Ctr {
    key: EncryptingKey,
    counter: u128,
    mac: hmac::Key,
    etm: bool,
}

impl Ctr {
    fn new(suite: Suite, keys: &KeyMaterial) -> Result<Option<Box<Self>>, PacketError> {
        let Some(algorithm) = suite.cipher.ctr() else {
            return Ok(None);
        };
        let mac = suite.mac.ok_or(PacketError::Library)?;
        let key = UnboundCipherKey::new(algorithm, &keys.key).and_then(EncryptingKey::ctr);
        Ok(Some(Box::new(Self {
            key: key.map_err(|_| PacketError::Library)?,
            counter: u128::from_be_bytes(keys.iv.as_slice().try_into().map_err(|_| PacketError::Library)?),
            mac: hmac::Key::new(Mac::algorithm(mac), &keys.mac),
            etm: mac.is_etm(),
        })))
    }

    /// Encrypts or decrypts the next blocks of the stream, which is the same. `blocks` are whole ones.
    fn apply(&mut self, blocks: &mut [u8]) -> Result<(), PacketError> {
        if !blocks.len().is_multiple_of(AES_BLOCK) {
            return Err(PacketError::Corrupt);
        }
        let count = blocks.len() / AES_BLOCK;
        let context = EncryptionContext::Iv128((&self.counter.to_be_bytes()).into());
        self.key
            .less_safe_encrypt(blocks, context)
            .map_err(|_| PacketError::Library)?;
        self.counter = self.counter.wrapping_add(count as u128);
        Ok(())
    }

    fn code(&self, sequence: u32, packet: &[u8]) -> hmac::Tag {
        let mut code = hmac::Context::with_key(&self.mac);
        code.update(&sequence.to_be_bytes());
        code.update(packet);
        code.sign()
    }

    fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<hmac::Tag, PacketError> {
        if self.etm {
            self.apply(packet.get_mut(4..).ok_or(PacketError::Library)?)?;
            Ok(self.code(sequence, packet))
        } else {
            let code = self.code(sequence, packet);
            self.apply(packet)?;
            Ok(code)
        }
    }

    fn open(&mut self, sequence: u32, packet: &mut [u8], tag: &[u8]) -> Result<(), PacketError> {
        if !self.etm {
            // The first block was decrypted for the length.
            self.apply(packet.get_mut(AES_BLOCK..).ok_or(PacketError::Corrupt)?)?;
        }
        let code = self.code(sequence, packet);
        constant_time::verify_slices_are_equal(code.as_ref(), tag).map_err(|_| PacketError::Corrupt)?;
        if self.etm {
            self.apply(packet.get_mut(4..).ok_or(PacketError::Corrupt)?)?;
        }
        Ok(())
    }
}

use thiserror::Error;

use crate::wire::WireError;

/// Why a key or a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes are not those of a key or signature.
    #[error("the key is malformed: {0}")]
    Malformed(#[from] WireError),
    /// The text around the bytes is not what it should be.
    #[error("the text is not a key: {0}")]
    Text(&'static str),
    /// A kind of key that is not used here.
    #[error("keys of type `{0}` are not supported")]
    Unsupported(String),
    /// A certificate where a plain key belongs.
    #[error("a certificate stands where a plain key belongs")]
    IsCertificate,
    /// An RSA key that is too short to protect anything, or too long to be a key.
    #[error("an RSA key has {0} bits: 2048 to 8192 are accepted")]
    RsaBits(usize),
    /// The numbers of the key do not make a key, or not the one that its public part says.
    #[error("the numbers in the key do not fit together")]
    Invalid,
    /// The signature is made in another way than was agreed on, or in a way that such a key cannot sign.
    #[error("the signature's algorithm is not the one that was agreed on")]
    Algorithm,
    /// The signature is not by this key over this message.
    #[error("the signature is wrong")]
    Signature,
    /// A security key signed without being touched: whoever can reach it could have had it sign.
    #[error("the security key was not touched")]
    NotTouched,
    /// The file is encrypted and no passphrase was given.
    #[error("the private key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// The passphrase is not the one, or the file was changed.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// The file is encrypted in a way that is not read here.
    #[error("the private key is encrypted with `{0}`, which is not supported: change it with `ssh-keygen -p`")]
    Cipher(String),
    /// The cryptographic library refused, such as for want of randomness.
    #[error("the cryptographic library failed")]
    Library,
}

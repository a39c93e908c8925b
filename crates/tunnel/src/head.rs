//! What stands at the head of a flow, and between the two sides: JSON with its length before it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest, in bytes.
pub const MAX_HEAD: usize = 256 * 1024;

/// A head could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The stream failed, or ended within it.
    #[error("the flow broke: {0}")]
    Io(#[from] std::io::Error),
    /// It is longer than any.
    #[error("the other side sends a head of {0} bytes")]
    TooLong(usize),
    /// It is not what it should be.
    #[error("the other side sends a head that makes no sense: {0}")]
    Nonsense(#[from] serde_json::Error),
}

/// Writes bytes that are JSON already.
///
/// # Errors
/// When they are too long or the stream fails.
pub async fn write_raw(to: &mut (impl AsyncWrite + Unpin), json: &[u8]) -> Result<(), HeadError> {
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_HEAD);
    let length = length.ok_or(HeadError::TooLong(json.len()))?;
    let mut whole = Vec::with_capacity(json.len() + 4);
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(json);
    to.write_all(&whole).await?;
    to.flush().await?;
    Ok(())
}

/// Writes a head.
///
/// # Errors
/// When it is too long or the stream fails.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), head: &impl Serialize) -> Result<(), HeadError> {
    write_raw(to, &serde_json::to_vec(head)?).await
}

/// Reads the bytes of a head.
///
/// # Errors
/// When it is too long or the stream fails or ends.
pub async fn read_raw(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, HeadError> {
    let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_HEAD {
        return Err(HeadError::TooLong(length));
    }
    // What is said to come is believed as it comes.
    let mut json = Vec::with_capacity(length.min(4096));
    let read = from
        .take(u64::try_from(length).unwrap_or(u64::MAX))
        .read_to_end(&mut json)
        .await?;
    if read < length {
        return Err(HeadError::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(json)
}

/// Reads a head.
///
/// # Errors
/// When it is too long or makes no sense, or the stream fails or ends.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, HeadError> {
    Ok(serde_json::from_slice(&read_raw(from).await?)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn heads_come_back_and_nonsense_does_not() {
        let mut bytes = Vec::new();
        write(&mut bytes, &["a", "b"]).await.unwrap();
        let read_back: Vec<String> = read(&mut &bytes[..]).await.unwrap();
        assert_eq!(read_back, ["a", "b"]);
        for cut in 0..bytes.len() {
            let cut = bytes.get(..cut).unwrap();
            assert!(matches!(read_raw(&mut &*cut).await, Err(HeadError::Io(_))));
        }
        assert!(matches!(
            read_raw(&mut &[0xff; 8][..]).await,
            Err(HeadError::TooLong(_))
        ));
        assert!(matches!(
            read::<u8>(&mut &[0, 0, 0, 1, b'{'][..]).await,
            Err(HeadError::Nonsense(_))
        ));
        let long = vec![b' '; MAX_HEAD + 1];
        assert!(matches!(
            write_raw(&mut Vec::new(), &long).await,
            Err(HeadError::TooLong(_))
        ));
    }
}

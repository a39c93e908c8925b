//! What a flow is for, told at its head, and how either end does it.

use anyhow::Result;
use sallyport_listen::Wire;
use sallyport_tunnel::{Answer, head};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is read and written at once, as a relay of large results does it.
pub(crate) const BLOCK: usize = 64 * 1024;

/// What the agent's end does with a flow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// It waits for a byte, and then writes so many.
    Push(u64),
    /// It reads to the end and says how much that was.
    Take,
    /// It sends back what comes.
    Echo,
}

/// Serves one flow at the agent's end.
pub(crate) async fn serve(mut flow: Wire) -> Result<()> {
    let wanted: Wanted = head::read(&mut flow).await?;
    head::write(&mut flow, &Answer::Done).await?;
    match wanted {
        Wanted::Push(bytes) => {
            flow.read_u8().await?;
            write(&mut flow, bytes).await?;
        }
        Wanted::Take => {
            let mut block = vec![0; BLOCK];
            let mut taken = 0_u64;
            loop {
                match flow.read(&mut block).await? {
                    0 => break,
                    count => taken += u64::try_from(count)?,
                }
            }
            flow.write_u64(taken).await?;
            flow.flush().await?;
        }
        Wanted::Echo => {
            let mut word = [0; 1024];
            loop {
                match flow.read(&mut word).await? {
                    0 => break,
                    count => {
                        flow.write_all(word.get(..count).unwrap_or_default()).await?;
                        flow.flush().await?;
                    }
                }
            }
        }
    }
    flow.shutdown().await?;
    Ok(())
}

/// Writes so many bytes.
pub(crate) async fn write(flow: &mut Wire, bytes: u64) -> Result<()> {
    let block = vec![0x5a; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        flow.write_all(block.get(..count).unwrap_or_default()).await?;
        left -= u64::try_from(count)?;
    }
    flow.flush().await?;
    Ok(())
}

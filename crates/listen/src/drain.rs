//! What is to be written, down to the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// Writes what waits in a buffer, and pushes what layers such as TLS took of it before the socket did: they take more than a
/// full socket, and nobody but who asks them again makes them go on.
#[derive(Debug, Default)]
pub struct Drain {
    behind: bool,
}

impl Drain {
    /// Writes as much of `buffer` as `to` takes. True when it took some.
    ///
    /// # Errors
    /// When the stream fails, or takes nothing any more.
    ///
    /// # Cancel safety
    /// What was taken is no longer in `buffer`. While [`Drain::is_done`] says no, it must be called again when the task is
    /// woken, also with an empty buffer.
    pub fn poll<S>(&mut self, to: &mut S, buffer: &mut BytesMut, cx: &mut Context<'_>) -> io::Result<bool>
    where
        S: AsyncWrite + Unpin,
    {
        let mut moved = false;
        while !buffer.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, buffer) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    buffer.advance(count);
                    moved = true;
                    self.behind = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.behind
            && let Poll::Ready(flushed) = Pin::new(to).poll_flush(cx)
        {
            flushed?;
            self.behind = false;
        }
        Ok(moved)
    }

    /// Whether all that was taken has reached the socket.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.behind
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::task::Waker;

    use super::*;

    /// Takes all at once into a hand of its own, from which a full socket takes a byte at a time.
    #[derive(Default)]
    struct Hand {
        held: Vec<u8>,
        sent: Vec<u8>,
        full: bool,
    }

    impl AsyncWrite for Hand {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.full {
                return Poll::Pending;
            }
            let held = std::mem::take(&mut self.held);
            self.sent.extend(held);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_a_layer_below_holds_is_pushed_again() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut drain, mut hand, mut buffer) = (Drain::default(), Hand::default(), BytesMut::from("tail"));
        hand.full = true;
        assert!(drain.poll(&mut hand, &mut buffer, &mut cx).unwrap());
        assert!(buffer.is_empty() && !drain.is_done());
        assert!(!drain.poll(&mut hand, &mut buffer, &mut cx).unwrap());
        hand.full = false;
        assert!(!drain.poll(&mut hand, &mut buffer, &mut cx).unwrap());
        assert!(drain.is_done());
        assert_eq!(hand.sent, b"tail");
    }
}

//! Windows: how much each side of a channel may send (RFC 4254, section 5.2).

/// The right of a peer to send to us: spent by what it sends, given back as that goes on its way.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// What it may send when nothing is on its way.
    size: u32,
    /// What the peer may still send.
    left: u32,
    /// What it has sent and went on its way since it was last told.
    owed: u32,
}

/// The peer sent more than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Receiving {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            size,
            left: size,
            owed: 0,
        }
    }

    /// The peer sent `len` bytes.
    pub(crate) fn received(&mut self, len: usize) -> Result<(), Overrun> {
        let len = u32::try_from(len).map_err(|_| Overrun)?;
        self.left = self.left.checked_sub(len).ok_or(Overrun)?;
        Ok(())
    }

    /// `len` of these bytes need no memory any more. What the peer is to be told it may send in addition, if it is worth
    /// a message.
    pub(crate) fn consumed(&mut self, len: usize) -> Option<u32> {
        self.owed = self.owed.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        if self.owed < self.size / 4 {
            return None;
        }
        let owed = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(owed);
        Some(owed)
    }
}

/// Our right to send to a peer.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    left: u32,
    max_packet: u32,
}

impl Sending {
    /// As the peer opened or confirmed the channel. A packet limit of nothing would let nothing through.
    pub(crate) fn new(window: u32, max_packet: u32) -> Self {
        Self {
            left: window,
            max_packet: max_packet.clamp(1, super::MAX_PACKET),
        }
    }

    /// The peer takes `bytes` more. What overflows is a peer that counts wrongly.
    pub(crate) fn granted(&mut self, bytes: u32) -> Result<(), Overrun> {
        self.left = self.left.checked_add(bytes).ok_or(Overrun)?;
        Ok(())
    }

    /// How many of `len` bytes may go in one packet now.
    pub(crate) fn room(&self, len: usize) -> usize {
        let most = usize::try_from(self.left.min(self.max_packet)).unwrap_or(0);
        len.min(most)
    }

    /// `len` bytes went.
    pub(crate) fn sent(&mut self, len: usize) {
        self.left = self.left.saturating_sub(u32::try_from(len).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Overrun, Receiving, Sending};
    use crate::connection::{MAX_PACKET, WINDOW};

    #[test]
    fn a_peer_may_send_what_it_was_granted_and_no_more() {
        let mut window = Receiving::new(WINDOW);
        let whole = usize::try_from(WINDOW).unwrap();
        window.received(whole).unwrap();
        assert_eq!(window.received(1), Err(Overrun));
        assert_eq!(window.consumed(whole / 4 - 1), None);
        assert_eq!(window.consumed(1), Some(WINDOW / 4));
        window.received(whole / 4).unwrap();
        assert_eq!(window.received(1), Err(Overrun));
    }

    #[test]
    fn packets_stay_within_window_and_size() {
        let mut window = Sending::new(40_000, u32::MAX);
        assert_eq!(window.room(100_000), usize::try_from(MAX_PACKET).unwrap());
        window.sent(32_768);
        assert_eq!(window.room(100_000), 40_000 - 32_768);
        window.sent(40_000 - 32_768);
        assert_eq!(window.room(1), 0);
        window.granted(5).unwrap();
        assert_eq!(window.room(9), 5);
        assert_eq!(window.granted(u32::MAX), Err(Overrun));
        assert_eq!(Sending::new(10, 0).room(10), 1);
    }
}

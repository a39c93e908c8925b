//! Requests that the target has and has not answered.

use crate::out::AskId;
use crate::wire::Expect;

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// A request that had a verdict of its own.
    Path {
        op: u64,
        expect: Expect,
    },
    /// The machine's own question of where a path of `op` leads.
    Resolve {
        op: u64,
        second: bool,
        nth: u8,
        expect: Expect,
    },
    /// The machine's own question of how large the file of `op` is.
    Measure {
        op: u64,
    },
    /// The machine's own questions at the beginning.
    Probe {
        nth: u8,
        expect: Expect,
    },
    Read {
        handle: usize,
        offset: u64,
        len: u32,
    },
    Write {
        handle: usize,
        /// Where in the file, as far as the machine knows.
        at: u64,
        len: u32,
    },
    Close {
        handle: usize,
    },
    FStat {
        handle: usize,
    },
    /// Others on a handle.
    OnHandle {
        handle: usize,
        expect: Expect,
    },
    /// Others on a handle that had a verdict of their own.
    Judged {
        handle: usize,
        ask: AskId,
    },
    /// `copy-data`.
    Copy {
        from: usize,
        to: usize,
        ask: AskId,
    },
    Limits,
    /// Whether what is being opened is still what was judged.
    Verify {
        op: u64,
    },
    /// What was opened and is not wanted is closed.
    Discard,
}

impl Flight {
    pub(super) const fn expect(&self) -> Expect {
        match self {
            Self::Path { expect, .. }
            | Self::Resolve { expect, .. }
            | Self::Probe { expect, .. }
            | Self::OnHandle { expect, .. } => *expect,
            Self::Read { len, .. } => Expect::Data(*len),
            Self::Write { .. } | Self::Close { .. } | Self::Judged { .. } | Self::Copy { .. } | Self::Discard => {
                Expect::Status
            }
            Self::FStat { .. } | Self::Measure { .. } => Expect::Attributes,
            Self::Limits => Expect::Limits,
            Self::Verify { .. } => Expect::OneName,
        }
    }

    /// The question of a request on handles that had one of its own.
    pub(super) const fn judged(&self) -> Option<AskId> {
        match self {
            Self::Judged { ask, .. } | Self::Copy { ask, .. } => Some(*ask),
            Self::Path { .. }
            | Self::Resolve { .. }
            | Self::Measure { .. }
            | Self::Probe { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Close { .. }
            | Self::FStat { .. }
            | Self::OnHandle { .. }
            | Self::Limits
            | Self::Verify { .. }
            | Self::Discard => None,
        }
    }
}

/// One of them, with the id under which the client knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) client: u32,
    pub(super) flight: Flight,
}

/// All of them. The ids are the machine's own: the place in the lower half, and in the upper half a number that changes
/// with each use of the place, so that a second answer is not taken for the answer to another request.
#[derive(Debug, Default)]
pub(super) struct Flights {
    places: Vec<(u16, Option<Sent>)>,
    free: Vec<u16>,
}

impl Flights {
    /// An id for a request. `None` if there are 65,536 already.
    pub(super) fn add(&mut self, sent: Sent) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = u16::try_from(self.places.len()).ok()?;
                self.places.push((0, None));
                place
            }
        };
        let (round, slot) = self.places.get_mut(usize::from(place))?;
        *round = round.wrapping_add(1);
        *slot = Some(sent);
        Some(u32::from(*round) << 16 | u32::from(place))
    }

    /// What `id` is, if it is outstanding.
    pub(super) fn get(&self, id: u32) -> Option<Sent> {
        let (round, slot) = self.places.get((id & 0xffff) as usize)?;
        slot.filter(|_| u32::from(*round) == id >> 16)
    }

    /// `id` is answered.
    pub(super) fn remove(&mut self, id: u32) {
        let place = (id & 0xffff) as u16;
        if let Some((_, slot)) = self.places.get_mut(usize::from(place))
            && slot.take().is_some()
        {
            self.free.push(place);
        }
    }

    /// None of them will be answered.
    pub(super) fn end(&mut self) -> impl Iterator<Item = Sent> {
        self.free.clear();
        std::mem::take(&mut self.places)
            .into_iter()
            .filter_map(|(_, sent)| sent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

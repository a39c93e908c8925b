//! For the tests of protocols: a gate's part, played by hand. Never part of a gateway.

use std::sync::Arc;

use bytes::BytesMut;
use sallyport_policy::{Classification, Disclosure, Lifetime, Reveal};
use smol_str::SmolStr;

use crate::conversation::{Ask, AskId};
use crate::effects::{Effects, Finish};
use crate::permit::Permit;
use crate::record::Written;
use crate::reveals::Reveals;

/// Effects that a test looks at.
#[must_use]
pub fn effects(classification: Arc<Classification>, generation: u64, needs_names: bool) -> Effects {
    Effects::new(classification, generation, needs_names)
}

/// A permit that no gate has minted.
pub fn permit(seq: u64) -> Permit {
    Permit::mint(seq)
}

/// What may be seen of each class.
#[must_use]
pub fn reveals(generation: u64, classes: impl IntoIterator<Item = (SmolStr, Reveal)>) -> Arc<Reveals> {
    let disclosure = |reveal| Disclosure {
        reveal,
        rules: Vec::new(),
        cache: Lifetime::Forever,
    };
    let by_class = classes
        .into_iter()
        .map(|(class, reveal)| (class, disclosure(reveal)))
        .collect();
    Arc::new(Reveals {
        generation,
        by_class,
        full_screen: None,
        lifetime: Lifetime::Forever,
    })
}

/// What a conversation wanted done.
#[derive(Debug)]
pub struct Taken {
    /// What goes to the client.
    pub client: BytesMut,
    /// What goes to the target.
    pub target: BytesMut,
    /// The question to the gate.
    pub ask: Option<Ask>,
    /// The question that was given up.
    pub withdrawn: Option<AskId>,
    /// How commands ended.
    pub finished: Vec<(u64, Finish)>,
    /// How commands ended, in the protocol's own words.
    pub ended: Vec<(u64, Vec<u8>)>,
    /// What is recorded in other bytes than are sent: the command, whether the client is shown it, and the bytes.
    pub noted: Vec<(u64, bool, Vec<u8>)>,
    /// What the gateway saw, for the recording.
    pub remarks: Vec<Vec<u8>>,
    /// Whether the session ends.
    pub over: bool,
}

/// Takes everything out of `effects`.
pub fn take(effects: &mut Effects) -> Taken {
    effects.shown.clear();
    effects.data.clear();
    let noted = effects.take_plain();
    Taken {
        client: effects.client().split(),
        target: effects.target(&Written::for_tests()).split(),
        ask: effects.asks.pop_front(),
        withdrawn: effects.withdrawn.pop(),
        finished: std::mem::take(&mut effects.finished),
        ended: std::mem::take(&mut effects.ended),
        noted,
        remarks: std::mem::take(&mut effects.remarks),
        over: effects.is_over(),
    }
}

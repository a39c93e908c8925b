//! Who watches the session.

use std::sync::Arc;

use sallyport_policy::Decision;

use super::Gate;
use crate::audience::Audience;
use crate::refusal::Refusal;
use crate::reveals::Reveals;

impl Gate {
    /// From now on these people can watch the session, and rules see who does.
    pub fn show_to(&mut self, audience: Arc<Audience>) {
        self.record.show_to(audience);
    }

    /// Who watches the session.
    pub(crate) fn audience(&self) -> &Arc<Audience> {
        self.record.audience()
    }

    pub(super) fn decide_reveals(&self) -> Reveals {
        let watched_by = self.audience().watched_by();
        Reveals::decide(&self.bundle, self.generation, &self.standing, watched_by)
    }
}

/// Says, if that is it, that those who had to watch do not any more.
pub(super) fn unwatched(decision: &Decision, refusal: Refusal) -> Refusal {
    let watch = decision.hold.iter().flat_map(|hold| &hold.watch);
    let groups: Vec<String> = watch.map(|group| format!("`{group}`")).collect();
    if groups.is_empty() {
        return refusal;
    }
    let message = format!(
        "nobody of {} watches this session: {}",
        groups.join(" and "),
        refusal.message
    );
    let hint = "it can go on again once somebody does";
    Refusal { message, ..refusal }.with_hint(hint)
}

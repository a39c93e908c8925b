//! Who watches the session.

use std::sync::Arc;

use super::Gate;
use crate::audience::Audience;

impl Gate {
    /// From now on these people can watch the session, and rules see who does.
    pub fn show_to(&mut self, audience: Arc<Audience>) {
        self.record.show_to(audience);
    }

    /// Who watches the session.
    pub(crate) fn audience(&self) -> &Arc<Audience> {
        self.record.audience()
    }
}

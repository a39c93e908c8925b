//! Where a target's secrets are fetched from, and for how long they may be used.

//! Targets behind agents: reached, judged, recorded and masked as others are.

mod basics;

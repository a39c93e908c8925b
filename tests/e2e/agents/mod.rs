//! Targets behind agents: reached, judged, recorded and masked as others are.

mod basics;
mod masked;

use anyhow::Result;
use sallyport_tests::{Endpoint, run};

/// What psql says of a statement.
fn ask(endpoint: &Endpoint, statement: &str) -> Result<String> {
    run(endpoint.program("psql").args(["-X", "-A", "-t", "-c", statement]))
}

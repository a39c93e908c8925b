//! The protocols, a line for each.

use sallyport_policy::SchemaFragment;
use sallyport_postgres::Postgres;
use sallyport_session::{Ground, Protocol, Reader};
use sallyport_ssh::Ssh;

/// What the rest of the program asks of a protocol that it knows by name only.
struct Known {
    name: &'static str,
    schema: &'static str,
    reader: fn(Ground<'_>) -> Result<Box<dyn Reader>, String>,
}

const fn known<P: Protocol>() -> Known {
    Known {
        name: P::NAME,
        schema: P::SCHEMA,
        reader: P::reader,
    }
}

const ALL: [Known; 2] = [known::<Postgres>(), known::<Ssh>()];

/// Their schema fragments.
pub(crate) fn schemas() -> Vec<SchemaFragment> {
    ALL.iter()
        .map(|known| SchemaFragment::new(known.name, known.schema))
        .collect()
}

/// What understands commands at a target outside of any session.
///
/// # Errors
/// When what is known of the target makes no sense.
pub(crate) fn reader(ground: Ground<'_>) -> Result<Box<dyn Reader>, String> {
    let name = ground.target.protocol();
    let known = ALL.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| format!("nothing understands the commands of `{name}`"))?;
    (known.reader)(ground)
}

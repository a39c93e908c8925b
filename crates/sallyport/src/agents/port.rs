//! The connected agents as sessions see them.

use std::sync::Arc;

use sallyport_listen::Wire;
use sallyport_session::{Agents, DialError, Pending, ServedBy};
use sallyport_tunnel::{Announced, Fleet, Unserved};
use uuid::Uuid;

/// The fleet behind the gateway.
pub(crate) struct Behind(pub(crate) Arc<Fleet>);

impl Agents for Behind {
    fn open<'a>(
        &'a self,
        name: &'a str,
        target: &'a str,
        protocol: &'static str,
        opening: Vec<u8>,
        prefer: Option<Uuid>,
    ) -> Pending<'a, Result<(Wire, ServedBy), DialError>> {
        Box::pin(async move {
            let target = Announced {
                name: target.into(),
                protocol: protocol.into(),
            };
            match self.0.open(name, &target, &opening, prefer).await {
                Ok((flow, member, host)) => {
                    let by = ServedBy {
                        name: member.name,
                        instance: member.instance,
                        host,
                    };
                    Ok((Wire::over(flow, member.address), by))
                }
                Err(Unserved::Nobody(why)) => Err(DialError::Unserved(why)),
                Err(Unserved::Failed(why)) => Err(DialError::Failed(why)),
                Err(Unserved::Told(why)) => Err(DialError::Told(why)),
            }
        })
    }
}

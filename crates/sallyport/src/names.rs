//! The names at targets, as the API gives them.

use std::sync::Arc;

use sallyport_api::ports::{NamesError, Pending, Targets};
use sallyport_session::{Door, House, Protocol, Whom};
use sallyport_target::Target;
use uuid::Uuid;

/// Somebody who speaks a protocol, and can ask its targets.
pub(crate) trait Asks: Send + Sync {
    /// The protocol's name.
    fn speaks(&self) -> &'static str;

    /// The names at a target, if the protocol has any. `by` is who wants to know.
    fn names<'a>(
        &'a self,
        house: &'a House,
        target: Arc<Target>,
        by: &'a str,
    ) -> Pending<'a, Result<Option<String>, NamesError>>;
}

impl<P: Protocol> Asks for P {
    fn speaks(&self) -> &'static str {
        P::NAME
    }

    fn names<'a>(
        &'a self,
        house: &'a House,
        target: Arc<Target>,
        by: &'a str,
    ) -> Pending<'a, Result<Option<String>, NamesError>> {
        Box::pin(async move {
            let whom = Whom {
                session: Uuid::now_v7(),
                principal: by.to_owned(),
            };
            let place = target.place().into();
            let door = Door::new(Arc::clone(self.login()), target, place, whom, Arc::clone(&house.agents));
            let names = Protocol::names(self, door).await;
            names.map_err(|error| NamesError::Failed(error.to_string()))
        })
    }
}

/// The targets behind the gateway.
pub(crate) struct TargetsBehind {
    house: Arc<House>,
    protocols: Vec<Arc<dyn Asks>>,
}

impl TargetsBehind {
    /// Those that `house` knows, asked by who speaks their protocols.
    pub(crate) fn new(house: &Arc<House>, protocols: Vec<Arc<dyn Asks>>) -> Self {
        Self {
            house: Arc::clone(house),
            protocols,
        }
    }
}

impl Targets for TargetsBehind {
    fn names<'a>(&'a self, name: &'a str, by: &'a str) -> Pending<'a, Result<String, NamesError>> {
        Box::pin(async move {
            let target = self.house.targets.get(&self.house.policy, name);
            let target = target.ok_or_else(|| NamesError::Unknown(name.to_owned()))?;
            let none = || NamesError::None(name.to_owned());
            let protocol = self
                .protocols
                .iter()
                .find(|protocol| protocol.speaks() == target.protocol());
            let names = protocol.ok_or_else(none)?.names(&self.house, target, by).await?;
            names.ok_or_else(none)
        })
    }
}

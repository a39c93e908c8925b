//! The names at targets, as the API gives them.

use std::sync::Arc;

use sallyport_api::ports::{NamesError, Pending, Targets};
use sallyport_postgres::Postgres;
use sallyport_session::{Door, House, Login, Protocol, Whom};
use sallyport_ssh::Ssh;
use sallyport_target::Target;
use uuid::Uuid;

/// The targets behind the gateway.
pub(crate) struct TargetsBehind {
    house: Arc<House>,
    postgres: Arc<Postgres>,
    ssh: Option<Arc<Ssh>>,
}

impl TargetsBehind {
    /// Those that `house` knows, asked by who speaks their protocols.
    pub(crate) fn new(house: &Arc<House>, postgres: &Arc<Postgres>, ssh: Option<&Arc<Ssh>>) -> Self {
        Self {
            house: Arc::clone(house),
            postgres: Arc::clone(postgres),
            ssh: ssh.map(Arc::clone),
        }
    }

    async fn ask<P: Protocol>(
        &self,
        protocol: &P,
        target: Arc<Target>,
        by: &str,
    ) -> Result<Option<String>, NamesError> {
        let whom = Whom {
            session: Uuid::now_v7(),
            principal: by.to_owned(),
        };
        let place = target.place().into();
        let agents = Arc::clone(&self.house.agents);
        let door = Door::new(Arc::clone(protocol.login()), target, place, whom, agents);
        let names = protocol.names(door).await;
        names.map_err(|error| NamesError::Failed(error.to_string()))
    }
}

impl Targets for TargetsBehind {
    fn names<'a>(&'a self, name: &'a str, by: &'a str) -> Pending<'a, Result<String, NamesError>> {
        Box::pin(async move {
            let target = self.house.targets.get(&self.house.policy, name);
            let target = target.ok_or_else(|| NamesError::Unknown(name.to_owned()))?;
            let speaks = |protocol: &str| target.protocol() == protocol;
            let names = match &self.ssh {
                _ if speaks(<Postgres as Protocol>::Login::NAME) => self.ask(&*self.postgres, target, by).await?,
                Some(ssh) if speaks(<Ssh as Protocol>::Login::NAME) => self.ask(&**ssh, target, by).await?,
                Some(_) | None => None,
            };
            names.ok_or_else(|| NamesError::None(name.to_owned()))
        })
    }
}

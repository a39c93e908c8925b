//! The gateway's SSH as the API describes it: where it is, and which hosts somebody reaches by it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sallyport_api::ports::Ssh;
use sallyport_identity::messages::{SshInfo, SshTarget};
use sallyport_identity::{Kind, Principal};
use sallyport_policy::{Act, ActionName, Bundle, Outcome, Situation, Subject, SubjectKind, Value};
use sallyport_session::House;
use sallyport_ssh_transport::ServerConfig;
use sallyport_target::{Access, Target};
use smol_str::SmolStr;
use time::OffsetDateTime;

/// The hosts behind the gateway.
pub(crate) struct HostsBehind {
    house: Arc<House>,
    /// Where SSH listens, and the lines of its host keys; none when it does not.
    shown: Option<(SocketAddr, Vec<String>)>,
}

impl HostsBehind {
    /// For a gateway that has no SSH.
    pub(crate) fn new(house: Arc<House>) -> Self {
        Self { house, shown: None }
    }

    /// For one whose SSH listens at `address` and shows the keys of `server`.
    pub(crate) fn with_ssh(self, address: SocketAddr, server: &ServerConfig) -> Self {
        let lines = server.keys.iter().map(|key| key.public_key().to_string());
        Self {
            shown: Some((address, lines.collect())),
            ..self
        }
    }
}

impl Ssh for HostsBehind {
    fn describe(&self, principal: &Principal, source: IpAddr) -> Option<SshInfo> {
        let (listen, host_keys) = self.shown.clone()?;
        let authority = self.house.identities.ssh()?.hosts().public_key().to_string();
        let bundle = self.house.policy.current();
        let targets = self.house.targets.all(&self.house.policy);
        let subject = subject(principal);
        let situation = Situation {
            source: Some(source),
            ..Situation::at(OffsetDateTime::now_utc())
        };
        let open = |target: &Arc<Target>| {
            let Access::Ssh(ssh) = &target.access else { return None };
            let accounts = std::iter::once(&ssh.user).chain(&ssh.logins);
            let may = |login: &&String| may_connect(&bundle, &subject, target, login, &situation);
            let logins: Vec<String> = accounts.filter(may).cloned().collect();
            let name = target.name.to_string();
            (!logins.is_empty()).then_some(SshTarget { name, logins })
        };
        Some(SshInfo {
            user: principal.id.clone(),
            listen,
            host_keys,
            authority,
            targets: targets.targets().iter().filter_map(open).collect(),
        })
    }
}

fn subject(principal: &Principal) -> Subject {
    Subject {
        kind: match principal.kind {
            Kind::User => SubjectKind::User,
            Kind::Machine => SubjectKind::Machine,
        },
        id: principal.id.to_string(),
        groups: principal.groups.iter().map(ToString::to_string).collect(),
    }
}

/// Whether policy would let a session begin, at once or after a review. It is asked again when one does.
fn may_connect(bundle: &Bundle, who: &Subject, target: &Target, login: &str, situation: &Situation) -> bool {
    let resource = sallyport_session::resource(target);
    let context = vec![
        (SmolStr::new_static("database"), Value::String(login.into())),
        (SmolStr::new_static("user"), Value::String(who.id.as_str().into())),
        (SmolStr::new_static("replication"), Value::Bool(false)),
        (SmolStr::new_static("tls"), Value::Bool(true)),
    ];
    let act = Act::new(ActionName::connect(), context);
    bundle.decide(who, &resource, &[act], situation).outcome != Outcome::Deny
}

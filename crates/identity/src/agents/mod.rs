//! Who an agent is: how it joins, what it shows, how long that is good, and how it ends.
//!
//! An agent works beside targets and dials the gateway. [`AgentAuthority`] is the gateway's own certificate authority
//! for agents; [`Agents`] lets instances join, renews and revokes them, and says who shows a certificate; [`Enrolment`]
//! is what an agent keeps in its directory. Nothing here opens a socket, but for [`JoinMethod::collect`], by which an
//! agent asks its platform for a proof.

mod administer;
mod authority;
mod collect;
mod enrolment;
mod errors;
mod live;
mod messages;
mod names;
mod pin;
mod registry;
mod request;
mod rules;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod witness;

pub use authority::{AgentAuthority, SERVER_NAME};
pub use collect::{CollectError, JoinMethod};
pub use enrolment::{Enrolment, NewKey, join_client_config};
pub use errors::{AdministerError, AuthorityError, EnrolmentError, IdentifyError, JoinError, ProofFault, RequestFault};
pub use messages::{
    AgentInfo, Bytes, HostDescription, IssuedJoinTokenReply, JoinProof, JoinReply, JoinRequest, JoinTokenInfo,
    MAX_JOIN_REQUEST_BYTES, RenewRequest, SpiffeX509,
};
pub use names::{AgentIdentity, check_agent_name};
pub use pin::Pin;
pub use registry::{Agents, AgentsConfig, IssuedJoinToken, Joined};
pub use rules::{AwsRule, AzureRule, GcpRule, JoinRule, KubernetesRule, SpiffeRule};
pub use token::{JOIN_PREFIX, JoinToken};
pub use witness::{AgentAct, AgentWitness};

//! SFTP (version 3, [draft-ietf-secsh-filexfer-02]) and OpenSSH's extensions, seen from between the two ends.
//!
//! [`Sftp`] is a machine: it is fed what the client and the target say, and gives bytes for either side and questions
//! ([`Ask`]) about every request that has an effect or shows something. A request is forwarded when its question has
//! been answered, and never before. What follows on a handle that a permitted request gave (reading, writing,
//! closing) belongs to that request.
//!
//! - **A path is judged by where it leads.** The machine asks the target itself what a path means (`REALPATH`), with
//!   request ids of its own, and what is forwarded is the resolved path, not the one that was written. Whether the
//!   target's `REALPATH` follows symbolic links is found out when the channel opens; if that cannot be shown, the machine
//!   looks at every directory on the way, and a link there is a refusal.
//! - **Requests that change what names mean are alone.** A rename, a removal, a new link waits until the paths before it
//!   are done with, and the paths behind it wait for it, so that nobody can be shown one meaning and use another.
//!   Requests on handles never wait for paths.
//! - **What cannot be understood is refused**: unknown extensions, unknown flags, paths with a zero byte. A peer
//!   that breaks the framing ends the channel ([`SftpError`]).
//!
//! What this cannot see: somebody who changes links on the target by other ways (a shell, another connection) in
//! the instant between the target's answer and the request. [`Verdict::Permitted`] has `again` for verdicts that took time.
//!
//! The crate is pure: no sockets, no clock, no policy.
//!
//! [draft-ietf-secsh-filexfer-02]: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02

mod act;
mod error;
mod machine;
mod out;
mod path;
mod resolve;
pub mod rsync;
pub mod scp;
mod stream;
mod text;
mod wire;

pub use act::{Attributes, FileAct, Place};
pub use error::{SftpError, Side};
pub use machine::{Limits, Sftp};
pub use out::{Ask, AskId, Cause, Content, Direction, Ended, Out, Outcome, Refused, Span, Transfer, Verdict};
pub use path::{by_text as absolute, shown};

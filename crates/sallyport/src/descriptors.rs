//! File descriptors: as many as the operating system lets the gateway have, and no more sessions than they are enough for.
//! A session too many is then refused in words, and costs those before it nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sallyport_listen::Limits;

/// For the store, the journal, the logs, and what is brief: requests to cancel, files that are read.
const RESERVED: usize = 96;
/// What a thread that relays waits with.
const PER_WORKER: usize = 4;
/// The client, the target and the recording, and one for what a session opens for a moment.
const PER_SESSION: usize = 4;

/// Raises the limit as far as it goes. How many there may be; `None` for any number.
pub(crate) fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What each listener may let in with so many descriptors: the clients', and each of the API's and the agents'. With no number
/// of workers there is one for each core.
pub(crate) fn share(descriptors: Option<usize>, workers: usize, clients: Limits, api: Limits) -> (Limits, Limits) {
    let Some(descriptors) = descriptors else {
        return (clients, api);
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if workers == 0 { cores() } else { workers };
    let free = descriptors.saturating_sub(RESERVED + PER_WORKER * workers);
    let at_most = |limits: Limits, handshakes: usize, sessions: usize| Limits {
        handshakes: limits.handshakes.min(handshakes).max(1),
        sessions: limits.sessions.min(sessions).max(1),
        ..limits
    };
    let api = at_most(api, free / 16, free / 16);
    let handshakes = clients.handshakes.min(free / 8);
    let taken = handshakes + 2 * (api.handshakes + api.sessions);
    let fitting = at_most(clients, handshakes, free.saturating_sub(taken) / PER_SESSION);
    if fitting != clients {
        tracing::warn!(
            descriptors,
            sessions = fitting.sessions,
            handshakes = fitting.handshakes,
            "the limit of open files (LimitNOFILE, `ulimit -n`) is too low for `[limits]`: fewer are let in"
        );
    }
    (fitting, api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_never_needs_more_than_there_is() {
        let (clients, api) = (Limits::default(), Limits::default());
        assert_eq!(share(None, 0, clients, api), (clients, api));
        assert_eq!(share(Some(1 << 20), 8, clients, api), (clients, api));
        for descriptors in [200, 256, 1024, 4096, 20_000, 50_000] {
            let (clients, api) = share(Some(descriptors), 8, clients, api);
            let most = PER_SESSION * clients.sessions + clients.handshakes + 2 * (api.sessions + api.handshakes);
            assert!(
                most + RESERVED + 8 * PER_WORKER <= descriptors,
                "{descriptors}: {clients:?} {api:?}"
            );
            assert!(clients.sessions >= descriptors / 20, "{descriptors}: {clients:?}");
        }
        let (least, _) = share(Some(3), 0, clients, api);
        assert_eq!((least.sessions, least.handshakes), (1, 1));
    }
}

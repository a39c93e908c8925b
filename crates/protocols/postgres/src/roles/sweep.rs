//! Roles that outlived their sessions: after a crash, or when a server was away for longer than somebody tried.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use sallyport_target::{Administrator, Target};

use super::notes::Note;
use super::{RoleError, Roles, name};

/// What was asked for before a crash has been done by then, if it is done at all.
const SETTLED: Duration = Duration::from_secs(60);

/// What became of a role that was left behind.
enum Swept {
    Ended,
    /// There is none of that name.
    Absent,
    /// The server refuses to end it.
    Stays,
    /// Nothing can be done there now.
    Closed,
}

impl Roles {
    /// Ends what is left at these targets: what this process, or one before it, wrote down; and what others left that is too
    /// old to log in and is used by nobody.
    pub(crate) async fn sweep(&self, targets: &[Arc<Target>]) {
        let notes = self.notes.all().await;
        let left = notes.into_iter().filter(|(_, note, _)| !self.is_live(&note.role));
        let left: Vec<_> = left.collect();
        left.iter().for_each(|(_, note, _)| self.note_seen(note));
        for target in targets {
            let Some(administrator) = target.administrator() else {
                continue;
            };
            for (file, note, age) in left.iter().filter(|(_, note, _)| note.target == *target.name) {
                match self.swept(&administrator, note).await {
                    Swept::Ended => self.notes.remove(file).await,
                    Swept::Absent if *age > SETTLED => self.notes.remove(file).await,
                    Swept::Absent | Swept::Stays => {}
                    Swept::Closed => break,
                }
            }
            if let Err(error) = self.sweep_strangers(&administrator).await {
                tracing::warn!(%error, target = %target.name, "whether roles of sessions were left behind cannot be asked");
            }
        }
    }

    async fn swept(&self, administrator: &Administrator, note: &Note) -> Swept {
        let (role, target) = (&note.role, &note.target);
        match self.end(administrator, note).await {
            Ok(true) => {
                tracing::info!(role, target, "a role that was left behind is ended");
                Swept::Ended
            }
            Ok(false) => Swept::Absent,
            Err(error @ (RoleError::Login(_) | RoleError::Lease(_))) => {
                tracing::error!(%error, target, "roles that were left behind cannot be ended");
                Swept::Closed
            }
            Err(error) => {
                tracing::error!(%error, role, target, "a role that was left behind cannot be ended");
                Swept::Stays
            }
        }
    }

    async fn sweep_strangers(&self, administrator: &Administrator) -> Result<(), RoleError> {
        let database = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get(administrator.target()).cloned()
        };
        // Nobody has been there, so nobody here knows a database to ask in.
        let Some(database) = database else {
            return Ok(());
        };
        let lease = administrator.lease(&database).await?;
        let mut line = self.line(&lease).await?;
        let prefix = format!("{}_", administrator.ephemeral.prefix);
        let old = line
            .ask(&format!(
                "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles r WHERE starts_with(rolname, {}) \
                 AND rolvaliduntil < now() AND NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = r.rolname) LIMIT 100",
                name::literal(&prefix)
            ))
            .await?;
        drop(line);
        for row in old {
            let [Some(role), Some(comment)] = row.as_slice() else {
                continue;
            };
            if self.is_live(role) {
                continue;
            }
            if let Some(database) = name::database(comment) {
                let note = Note {
                    target: administrator.target().to_string(),
                    database,
                    role: role.clone(),
                };
                match self.swept(administrator, &note).await {
                    Swept::Ended | Swept::Absent | Swept::Stays => {}
                    Swept::Closed => break,
                }
            }
        }
        Ok(())
    }
}

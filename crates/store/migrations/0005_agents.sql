-- Agents: the instances that joined, the tokens that let them join, and machines that may join only once.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

CREATE TABLE agents (
    -- A UUID, given when it joined.
    instance   TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    -- What it said of the machine that it runs on, as JSON.
    host       TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    -- What its proof said, as JSON.
    proof      TEXT    NOT NULL,
    joined_ms  INTEGER NOT NULL,
    -- When its last certificate was made, and when that ends.
    issued_ms  INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    seen_ms    INTEGER,
    revoked_ms INTEGER,
    revoked_by TEXT
) STRICT;
CREATE INDEX agents_by_name ON agents (name, expires_ms);
CREATE INDEX agents_by_expiry ON agents (expires_ms);

-- Join tokens, by the SHA-256 of their text: the text itself is never stored.
CREATE TABLE agent_join_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    agent      TEXT    NOT NULL,
    issued_by  TEXT    NOT NULL,
    issued_ms  INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER,
    -- The instance that joined with it.
    used_by    TEXT,
    revoked_ms INTEGER
) STRICT;
CREATE INDEX agent_join_tokens_by_agent ON agent_join_tokens (agent);
CREATE INDEX agent_join_tokens_by_expiry ON agent_join_tokens (expires_ms);

-- Machines whose proof has no end: each joins once, until somebody forgets it.
CREATE TABLE agent_machines (
    machine  TEXT    NOT NULL PRIMARY KEY,
    instance TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL
) STRICT;

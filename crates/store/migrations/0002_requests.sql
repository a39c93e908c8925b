-- Held commands, the approvals that they collected, and what became of them.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

CREATE TABLE requests (
    id               TEXT    NOT NULL PRIMARY KEY,
    digest           BLOB    NOT NULL CHECK (length(digest) = 32),
    state            TEXT    NOT NULL CHECK (state IN ('open', 'approved', 'used', 'denied', 'expired', 'withdrawn')),
    -- 1 while a client waits for the answer: nobody else may take the grant then.
    waiting          INTEGER NOT NULL CHECK (waiting IN (0, 1)),
    session          TEXT    NOT NULL,
    principal        TEXT    NOT NULL,
    person           TEXT    NOT NULL,
    target           TEXT    NOT NULL,
    task             TEXT,
    policy_digest    TEXT    NOT NULL,
    -- What a reviewer is shown, as JSON.
    detail           TEXT    NOT NULL,
    created_ms       INTEGER NOT NULL,
    expires_ms       INTEGER NOT NULL,
    grant_expires_ms INTEGER,
    ended_ms         INTEGER,
    ended_by         TEXT,
    ended_reason     TEXT
) STRICT;

CREATE INDEX requests_by_digest ON requests (digest) WHERE state IN ('open', 'approved');
CREATE INDEX requests_by_state ON requests (state, expires_ms);
CREATE INDEX requests_by_time ON requests (created_ms, id);
CREATE INDEX requests_by_principal ON requests (principal, state);

CREATE TABLE request_needs (
    request    TEXT    NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    group_name TEXT    NOT NULL,
    count      INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (request, group_name)
) STRICT, WITHOUT ROWID;

-- One row per approving person: the key makes a second identity of the same person count once.
CREATE TABLE request_votes (
    request  TEXT    NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    person   TEXT    NOT NULL,
    reviewer TEXT    NOT NULL,
    -- The needed groups that the reviewer was in when voting, as a JSON array.
    groups   TEXT    NOT NULL,
    reason   TEXT,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (request, person),
    UNIQUE (request, reviewer)
) STRICT, WITHOUT ROWID;

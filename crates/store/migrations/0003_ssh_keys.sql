-- What the last login of a principal was, as far as keys that it registered depend on it: they open something only for
-- some time after it, with the groups that it had. Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE logins (
    principal        TEXT    NOT NULL,
    issuer           TEXT    NOT NULL,
    kind             TEXT    NOT NULL CHECK (kind IN ('user', 'machine')),
    person           TEXT    NOT NULL,
    principal_groups TEXT    NOT NULL,
    at_ms            INTEGER NOT NULL,
    PRIMARY KEY (principal, issuer)
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_person ON logins (person);

-- Public SSH keys that people registered. Two may register the same one: whoever has it is the one whose name they give.
CREATE TABLE ssh_keys (
    principal   TEXT    NOT NULL,
    issuer      TEXT    NOT NULL,
    -- SHA-256 of the key's blob.
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    -- As in `authorized_keys`, without the comment.
    line        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    added_ms    INTEGER NOT NULL,
    PRIMARY KEY (principal, issuer, fingerprint)
) STRICT, WITHOUT ROWID;

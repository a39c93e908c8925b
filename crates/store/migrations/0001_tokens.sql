-- Tokens, by the SHA-256 of the secret: the secret itself is never stored. Times are milliseconds since 1970.
CREATE TABLE tokens (
  id             TEXT    NOT NULL PRIMARY KEY,
  hash           BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  scope          TEXT    NOT NULL CHECK (scope IN ('target', 'api', 'all')),
  principal      TEXT    NOT NULL,
  kind           TEXT    NOT NULL CHECK (kind IN ('user', 'machine')),
  person         TEXT    NOT NULL,
  issuer         TEXT    NOT NULL,
  principal_groups TEXT  NOT NULL,
  target         TEXT,
  name           TEXT,
  parent         TEXT    REFERENCES tokens (id),
  issued_ms      INTEGER NOT NULL,
  expires_ms     INTEGER NOT NULL,
  revoked_ms     INTEGER
) STRICT;
CREATE INDEX tokens_by_principal ON tokens (principal, expires_ms);
CREATE INDEX tokens_by_parent ON tokens (parent);
CREATE INDEX tokens_by_expiry ON tokens (expires_ms);

-- Which person stands behind a key (an issuer's subject, a verified e-mail address, a local name).
CREATE TABLE persons (
  key    TEXT NOT NULL PRIMARY KEY,
  person TEXT NOT NULL
) STRICT;
CREATE INDEX persons_by_person ON persons (person);

-- The first subject that used a principal's name owns it; nobody else ever gets it.
CREATE TABLE principals (
  id       TEXT    NOT NULL PRIMARY KEY,
  issuer   TEXT    NOT NULL,
  subject  TEXT    NOT NULL,
  first_ms INTEGER NOT NULL
) STRICT;

-- One-time values that were used: ID tokens and nonces of logins.
CREATE TABLE spent (
  key        TEXT    NOT NULL PRIMARY KEY,
  expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX spent_by_expiry ON spent (expires_ms);

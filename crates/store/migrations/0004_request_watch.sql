-- The groups of which somebody must watch the session that a held command belongs to, while it runs.

CREATE TABLE request_watch (
    request    TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    group_name TEXT NOT NULL,
    PRIMARY KEY (request, group_name)
) STRICT, WITHOUT ROWID;

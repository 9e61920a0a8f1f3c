-- Background calls. A call with a parent is one of those that the parent waits for; `place` is its number among them, and its
-- `ending` is kept until the parent has ended. `pending` is how many of its own a blocked call still waits for.
CREATE TABLE background(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cid TEXT NOT NULL,
    service TEXT NOT NULL,
    step TEXT NOT NULL,
    payload BLOB NOT NULL,
    state TEXT NOT NULL,
    parent INTEGER,
    place INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    ending TEXT NOT NULL DEFAULT '',
    put_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    server TEXT NOT NULL DEFAULT '',
    instance TEXT NOT NULL DEFAULT '',
    claim_expires_at INTEGER,
    ended_at INTEGER,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX background_due ON background(not_before, id) WHERE state = 'waiting';
CREATE INDEX background_claimed ON background(claim_expires_at) WHERE state = 'running';
CREATE INDEX background_of_server ON background(server) WHERE state = 'running';
CREATE INDEX background_children ON background(parent, place) WHERE parent IS NOT NULL;
CREATE INDEX background_failed ON background(ended_at, id) WHERE state = 'failed';

-- Locks of services; a row that nobody holds is only there while somebody waits for it.
CREATE TABLE locks(
    name TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    instance TEXT NOT NULL,
    token INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    wanted_by TEXT NOT NULL DEFAULT '',
    wanted_until INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX locks_end ON locks(expires_at);

-- Instants are milliseconds since 1970-01-01T00:00:00Z; texts named body, state, refused, services and payload are JSON.

CREATE TABLE counters(
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Writes done of late, with their replies: whoever repeats one gets the same reply and changes nothing.
CREATE TABLE operations(
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    reply BLOB NOT NULL
);

CREATE TABLE objects(
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    manifest TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY(kind, name)
) WITHOUT ROWID;

CREATE TABLE object_log(
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY(revision, kind, name)
) WITHOUT ROWID;

CREATE TABLE audit(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER
);

CREATE TABLE deployments(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_group TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    live_at INTEGER,
    refused TEXT NOT NULL,
    services TEXT NOT NULL,
    services_count INTEGER NOT NULL
);
CREATE UNIQUE INDEX deployments_live ON deployments(worker_group) WHERE state = 'live';

CREATE TABLE preparations(
    number INTEGER NOT NULL,
    server TEXT NOT NULL,
    instance TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY(number, server)
) WITHOUT ROWID;

CREATE TABLE contents(
    sha256 TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    content BLOB NOT NULL
);

CREATE TABLE deployment_files(
    number INTEGER NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY(number, path)
) WITHOUT ROWID;
CREATE INDEX deployment_files_content ON deployment_files(sha256);

CREATE TABLE folder_imports(
    folder TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY(folder, path)
) WITHOUT ROWID;

-- Version 0: the job has no cursor (it was removed, or only ever run by hand); the row keeps its account.
CREATE TABLE jobs(
    job TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    next_at INTEGER,
    watermark INTEGER NOT NULL,
    state TEXT NOT NULL,
    since INTEGER,
    planned INTEGER NOT NULL
) WITHOUT ROWID;

-- A run has ended if it has ended_at.
CREATE TABLE runs(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    planned_at INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    service TEXT NOT NULL,
    payload TEXT NOT NULL,
    timeout_ms INTEGER NOT NULL,
    attempts_max INTEGER NOT NULL,
    retry_delay_ms INTEGER NOT NULL,
    retry_delay_max_ms INTEGER NOT NULL,
    on_lost TEXT NOT NULL,
    overlap TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    lost_attempts INTEGER NOT NULL DEFAULT 0,
    overlaps INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    server TEXT,
    instance TEXT,
    claim_expires_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    duration_ms INTEGER,
    lateness_ms INTEGER,
    output TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    cid TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX runs_planned ON runs(job, planned_at) WHERE manual = 0;
CREATE INDEX runs_job ON runs(job, id);
CREATE INDEX runs_open ON runs(job, id) WHERE ended_at IS NULL;
CREATE INDEX runs_due ON runs(not_before, id) WHERE outcome = 'waiting';
CREATE INDEX runs_claimed ON runs(claim_expires_at) WHERE outcome = 'running';
CREATE INDEX runs_ended ON runs(ended_at, id) WHERE ended_at IS NOT NULL;

-- Claims that ended by time: if their attempt turns out to have gone on, attempts overlapped.
CREATE TABLE lost_claims(
    run INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    server TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    expired_at INTEGER NOT NULL,
    next_started_at INTEGER,
    PRIMARY KEY(run, fence)
) WITHOUT ROWID;

-- What became of scheduled runs that are no longer kept, by the day of their planned instant.
CREATE TABLE run_days(
    job TEXT NOT NULL,
    day INTEGER NOT NULL,
    ran INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    overlaps INTEGER NOT NULL,
    PRIMARY KEY(job, day)
) WITHOUT ROWID;

CREATE TABLE members(
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    dead INTEGER NOT NULL
) WITHOUT ROWID;

-- A lease that nobody holds keeps its epoch, with an empty holder.
CREATE TABLE leases(
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE users(
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    access TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions(
    token_hash TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions(user);

CREATE TABLE secrets(
    name TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

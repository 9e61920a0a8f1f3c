-- canary: its terms; canary_at: when it began; reason: why it ended as it did.
ALTER TABLE deployments ADD COLUMN canary TEXT;
ALTER TABLE deployments ADD COLUMN canary_at INTEGER;
ALTER TABLE deployments ADD COLUMN reason TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX deployments_canary ON deployments(worker_group) WHERE state = 'canary';

-- What each life of a server counted while a canary ran.
CREATE TABLE canary_counts(
    number INTEGER NOT NULL,
    server TEXT NOT NULL,
    instance TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY(number, server, instance)
) WITHOUT ROWID;

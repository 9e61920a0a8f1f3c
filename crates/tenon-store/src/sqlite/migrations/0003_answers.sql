-- Answers that are kept for idempotency keys. Without an answer: the request is under way.
CREATE TABLE answers(
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer BLOB,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_expire ON answers(expires_at);

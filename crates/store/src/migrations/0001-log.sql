-- The log. Append-only: the triggers keep a slip of ours, or of a person with a shell, from editing it.
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    rollout  TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    hash     BLOB    NOT NULL,
    UNIQUE (rollout, seq)
) STRICT;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Deliveries owed by events. `at` is when it settled, or when to try next while it is pending.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY,
    key      TEXT    NOT NULL UNIQUE,
    rollout  TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    receiver TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    owed_at  INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'dead')),
    at       INTEGER NOT NULL,
    reason   TEXT
) STRICT;
CREATE INDEX outbox_pending ON outbox (at, id) WHERE state = 'pending';
CREATE INDEX outbox_rollout ON outbox (rollout, id);

-- Who may write. One row; no holder after a release.
CREATE TABLE lease (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    epoch  INTEGER NOT NULL,
    holder TEXT,
    until  INTEGER NOT NULL
) STRICT;
INSERT INTO lease (id, epoch, holder, until) VALUES (1, 0, NULL, 0);

-- Facts about this host that are no decisions.
CREATE TABLE notes (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Up

-- The ledger as such. One row.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    tag TEXT NOT NULL,                       -- window ids shown to people carry it
    secret BLOB NOT NULL,                    -- key of the hashes of fields that are not stored
    registry_version INTEGER NOT NULL DEFAULT 0,
    redo_applied INTEGER NOT NULL DEFAULT 0  -- the last record of the redo log whose batch is in here
) STRICT;

-- The registry. Definitions are JSON of the nouns; the integer keys are what the ledger refers to.
CREATE TABLE window_type (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    definition TEXT NOT NULL,
    filter_fields INTEGER NOT NULL,          -- how many fields are marked filter; never changes
    UNIQUE (name, version)
) STRICT;

CREATE TABLE algorithm (
    id INTEGER PRIMARY KEY,
    processor TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    window_type INTEGER NOT NULL REFERENCES window_type (id), -- what triggers it; never changes
    definition TEXT NOT NULL,
    runtime TEXT NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
    retired_at INTEGER NOT NULL,
    UNIQUE (processor, name, version)
) STRICT;

-- The algorithms that are looked back at, whether they are known yet or not: by window_type 0, or without a lookback by
-- algorithms of a window type, which only look back when theirs is another one.
CREATE TABLE looked_at (
    processor TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    window_type INTEGER NOT NULL,
    PRIMARY KEY (processor, name, version, window_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE processor (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    newest TEXT NOT NULL                     -- JSON list of algorithm ids
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
    address TEXT PRIMARY KEY,
    connection TEXT NOT NULL,
    processor TEXT NOT NULL,
    runtime TEXT NOT NULL,
    algorithms TEXT NOT NULL,                -- JSON list of algorithm ids with definition hashes
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Plans by content, shared by the runs that follow them.
CREATE TABLE plan (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    nodes INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;

-- The nodes of plans: a run has an outcome of each, or will have one.
CREATE TABLE plan_node (
    plan INTEGER NOT NULL REFERENCES plan (id),
    algorithm INTEGER NOT NULL REFERENCES algorithm (id),
    PRIMARY KEY (plan, algorithm)
) STRICT, WITHOUT ROWID;

-- The lowest time_to of the windows whose runs have an algorithm among their nodes: the end of a walk into its past.
CREATE TABLE earliest (
    algorithm INTEGER PRIMARY KEY REFERENCES algorithm (id),
    time_to INTEGER NOT NULL
) STRICT;

-- Windows. The key is the position of the window's first run. Times are nanoseconds since the epoch.
CREATE TABLE window (
    id INTEGER PRIMARY KEY,
    type INTEGER NOT NULL REFERENCES window_type (id),
    time_from INTEGER NOT NULL,
    time_to INTEGER NOT NULL,
    origin TEXT NOT NULL,
    metadata BLOB,                           -- encoded struct without the fields that are not stored
    filters BLOB,                            -- field names and hashes, see encodeFilters
    filter_key BLOB                          -- hash of filters; NULL when there are none
) STRICT;
CREATE INDEX window_time ON window (type, time_to, time_from);

-- The windows that have filters, those of equal ones next to one another, for lookbacks: every page that is read costs
-- more than all the rows on it. Once the first run has ended there are copies of what lookbacks give of the window, unless
-- they are large, and until the window gets another run.
CREATE TABLE past (
    type INTEGER NOT NULL REFERENCES window_type (id),
    filter_key BLOB NOT NULL,
    time_to INTEGER NOT NULL,
    time_from INTEGER NOT NULL,
    window INTEGER NOT NULL REFERENCES window (id),
    kept BLOB,                               -- which outcomes, see keptKey; NULL when there are no copies
    rest BLOB,                               -- origin, metadata and results, see keptRun
    PRIMARY KEY (type, filter_key, time_to, time_from, window)
) STRICT, WITHOUT ROWID;

-- Runs. The highest position is never deleted: the next one continues from it.
CREATE TABLE run (
    position INTEGER PRIMARY KEY,
    window INTEGER NOT NULL REFERENCES window (id),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
    plan INTEGER NOT NULL REFERENCES plan (id),
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    accepted_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state = 0) = (finished_at IS NULL))
) STRICT;
-- The first run of a window is found by the window's key.
CREATE UNIQUE INDEX run_revision ON run (window, revision) WHERE revision > 1;
CREATE INDEX run_unsuccessful ON run (state, window) WHERE state > 1;

-- Outcomes, with what the processor sent.
CREATE TABLE outcome (
    key INTEGER PRIMARY KEY,                 -- position << 20 | algorithm
    position INTEGER NOT NULL GENERATED ALWAYS AS (key >> 20) VIRTUAL,   -- of the run
    algorithm INTEGER NOT NULL GENERATED ALWAYS AS (key & 1048575) VIRTUAL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
    attempts INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    produced_at INTEGER,                     -- position of the run that the result was kept from
    reason TEXT,
    result_status INTEGER,                   -- NULL when nothing was sent
    result_type INTEGER,
    result_timestamp INTEGER,
    result_value REAL,                       -- NULL when there is none, and for NaN
    result_json TEXT,
    result_error TEXT,
    result BLOB                              -- as it was sent
) STRICT;

-- What is unfinished. A run loses its row in the transaction that finishes it.
CREATE TABLE pending (
    position INTEGER PRIMARY KEY REFERENCES run (position),
    metadata BLOB                            -- with the fields that are not stored; NULL when the type has none
) STRICT;

-- Unfinished too, and waiting for algorithms that no instance took when it was parked: a row is here instead of in
-- pending, so that those who look for runs that can go on do not pass over it.
CREATE TABLE parked (
    position INTEGER PRIMARY KEY REFERENCES run (position),
    lot INTEGER NOT NULL REFERENCES lot (id),
    metadata BLOB,                           -- as in pending
    tries TEXT                               -- JSON, see orca.Tries; NULL when there were none
) STRICT;
CREATE INDEX parked_lot ON parked (lot, position);

-- The outcomes of other runs that parked runs wait for.
CREATE TABLE expected (
    run INTEGER NOT NULL REFERENCES run (position),
    algorithm INTEGER NOT NULL REFERENCES algorithm (id),
    position INTEGER NOT NULL REFERENCES run (position), -- who waits
    PRIMARY KEY (run, algorithm, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_by ON expected (position);

-- Lots by content: parked runs wait for any of the algorithms of theirs.
CREATE TABLE lot (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    algorithms TEXT NOT NULL                 -- JSON list of algorithm ids, or the name of a lot for those who wait for none
) STRICT;

-- Idempotency keys, deleted when they expire.
CREATE TABLE emit_key (
    position INTEGER PRIMARY KEY REFERENCES run (position),
    project TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    status INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    UNIQUE (project, key)
) STRICT;

-- Names in braces are tables of the store's schema. Times are nanoseconds since the epoch. Text that comes from clients is
-- stored as text.go says. There are no foreign keys: the writer checks what it refers to, in memory, and a check here would
-- lock rows that every window refers to. Nor has a table that every window is written to more than one condition: the server
-- reads the text of all of them anew for every statement.

-- The ledger as such. One row.
CREATE TABLE {ledger} (
    id smallint PRIMARY KEY CHECK (id = 1),
    tag text NOT NULL,                       -- window ids shown to people carry it
    secret bytea NOT NULL,                   -- key of the hashes of fields that are not stored
    registry_version bigint NOT NULL DEFAULT 0
);

-- The highest position ever given. One row, which every transaction that accepts windows locks until its commit: so the
-- order of positions is the order of commits. It is alone on its page, so that each update finds room beside it.
CREATE TABLE {counter} (
    id smallint PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO {counter} VALUES (1, 0);

-- The cores that share the ledger. A core that is alive moves expires_at ahead, by the clock of the database. What it sends
-- is written under its epoch alone: it raises that itself when it does not know what became of something it sent, and who takes
-- over its runs makes it 0.
CREATE TABLE {core} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 1,
    expires_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    version text NOT NULL,
    address text NOT NULL,
    active_runs integer NOT NULL DEFAULT 0,
    calls integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- The registry. Definitions are JSON of the nouns; the integer keys are what the ledger refers to.
CREATE TABLE {window_type} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    definition text NOT NULL,
    filter_fields integer NOT NULL,          -- how many fields are marked filter; never changes
    UNIQUE (name, version)
);

CREATE TABLE {algorithm} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    processor text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    window_type integer NOT NULL,            -- what triggers it; never changes
    definition text NOT NULL,
    runtime text NOT NULL,
    retired boolean NOT NULL,
    retired_at bigint NOT NULL,
    UNIQUE (processor, name, version)
);

CREATE TABLE {processor} (
    name text COLLATE "C" PRIMARY KEY,
    project text NOT NULL,
    newest text NOT NULL                     -- JSON list of algorithm ids
);

CREATE TABLE {instance} (
    address text COLLATE "C" PRIMARY KEY,
    connection text NOT NULL,
    processor text NOT NULL,
    runtime text NOT NULL,
    algorithms text NOT NULL,                -- JSON list of algorithm ids with definition hashes
    registered_at bigint NOT NULL
);

-- Plans by content, shared by the runs that follow them.
CREATE TABLE {plan} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    nodes integer NOT NULL,
    content bytea NOT NULL
);

-- The nodes of plans: a run has an outcome of each, or will have one.
CREATE TABLE {plan_node} (
    plan integer NOT NULL,
    algorithm integer NOT NULL,
    PRIMARY KEY (plan, algorithm)
);

-- The lowest time_to of the windows whose runs have an algorithm among their nodes: the end of a walk into its past.
CREATE TABLE {earliest} (
    algorithm integer PRIMARY KEY,
    time_to bigint NOT NULL
);

-- Windows. The key is the position of the window's first run.
CREATE TABLE {window} (
    id bigint PRIMARY KEY,
    time_from bigint NOT NULL,
    time_to bigint NOT NULL,
    type integer NOT NULL,
    origin text NOT NULL,
    metadata bytea,                          -- encoded struct without the fields that are not stored
    filters bytea,                           -- field names and hashes, see encodeFilters
    filter_key bytea                         -- hash of filters; NULL when there are none
);
CREATE INDEX window_time ON {window} (type, time_to, time_from);
CREATE INDEX window_filter ON {window} (type, filter_key, time_to, time_from) WHERE filter_key IS NOT NULL;

-- Runs. No index has a column that changes when a run ends, so that its row is replaced within its page.
CREATE TABLE {run} (
    position bigint PRIMARY KEY,
    "window" bigint NOT NULL,
    accepted_at bigint NOT NULL,
    finished_at bigint,
    plan integer NOT NULL,
    revision integer NOT NULL,               -- from 1
    kind smallint NOT NULL,
    state smallint NOT NULL                  -- 0 while finished_at is NULL
) WITH (fillfactor = 70);
-- The first run of a window is found by the window's key.
CREATE UNIQUE INDEX run_revision ON {run} ("window", revision) WHERE revision > 1;

-- The runs that ended in another way than succeeded: what people look for among many.
CREATE TABLE {setback} (
    state smallint NOT NULL,
    "window" bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (state, "window", position)
);

-- Outcomes, with what the processor sent.
CREATE TABLE {outcome} (
    position bigint NOT NULL,                -- of the run
    settled_at bigint NOT NULL,
    produced_at bigint,                      -- position of the run that the result was kept from
    result_timestamp bigint,
    result_value double precision,           -- NULL when there is none
    algorithm integer NOT NULL,
    attempts integer NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    result_status smallint,                  -- NULL when nothing was sent
    result_type smallint,
    reason text,
    result_json text,
    result_error text,
    result bytea,                            -- as it was sent
    PRIMARY KEY (position, algorithm)
);

-- What is unfinished. A run loses its row in the transaction that finishes it.
CREATE TABLE {pending} (
    position bigint PRIMARY KEY,
    owner integer,                           -- the core that works on it; NULL when none does
    metadata bytea,                          -- with the fields that are not stored; NULL when the type has none
    tries text                               -- JSON, see orca.Tries; NULL when there were none
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

-- Unfinished too, and waiting for algorithms that no instance took when it was parked: a row is here instead of in
-- pending, so that those who look for runs that can go on do not pass over it. No core works on it.
CREATE TABLE {parked} (
    position bigint PRIMARY KEY,
    lot integer NOT NULL,
    metadata bytea,                          -- as in pending
    tries text                               -- as in pending
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE INDEX parked_lot ON {parked} (lot, position);

-- The outcomes of other runs that parked runs wait for.
CREATE TABLE {expected} (
    run bigint NOT NULL,
    algorithm integer NOT NULL,
    position bigint NOT NULL,                -- who waits
    PRIMARY KEY (run, algorithm, position)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE INDEX expected_by ON {expected} (position);

-- Lots by content: parked runs wait for any of the algorithms of theirs.
CREATE TABLE {lot} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    algorithms text NOT NULL                 -- JSON list of algorithm ids, or the name of a lot for those who wait for none
);

-- Idempotency keys, deleted when they expire.
CREATE TABLE {emit_key} (
    position bigint PRIMARY KEY,
    accepted_at bigint NOT NULL,
    status smallint NOT NULL,
    project text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,                   -- 32 bytes
    CONSTRAINT emit_key_once UNIQUE (project, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

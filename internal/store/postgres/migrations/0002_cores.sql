-- What no core works on, lowest positions first. What one does is in no index of its own, which each window would pay for: it is
-- looked for when a core ends.
CREATE INDEX pending_free ON {pending} (position) WHERE owner IS NULL;

-- Nodes that every core is to settle which has their runs: all open ones of one run, or those of a processor. Whoever asked looks
-- after the runs that no core has, once each core has answered, and deletes the row.
CREATE TABLE {withdrawal} (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    core integer NOT NULL,                   -- that asks
    first bigint NOT NULL,                   -- positions of the runs
    last bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,     -- whose nodes; empty for all
    kind smallint NOT NULL,                  -- of the outcomes
    reason text NOT NULL
);

-- That a core has settled all of it durably, and takes what it claims from then on.
CREATE TABLE {withdrawn} (
    withdrawal integer NOT NULL,
    core integer NOT NULL,
    runs bigint NOT NULL,                    -- that had such nodes
    PRIMARY KEY (withdrawal, core)
);

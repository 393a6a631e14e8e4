-- What a core works on, and what none does, lowest positions first.
CREATE INDEX pending_owner ON {pending} (owner, position);
CREATE INDEX parked_owner ON {parked} (owner, lot, position);

-- Runs of which somebody wants an end: the core that works on one cancels it.
CREATE TABLE {cancelling} (
    position bigint PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now()
);

-- What a core works on, and what none does, lowest positions first.
CREATE INDEX pending_owner ON {pending} (owner, position);
CREATE INDEX parked_owner ON {parked} (owner, lot, position);

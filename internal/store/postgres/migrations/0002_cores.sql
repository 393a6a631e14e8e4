-- What a core works on, and what none does, lowest positions first.
CREATE INDEX pending_owner ON {pending} (owner, position);

-- What a core tells the others, with each renewal of its lease: JSON, empty when it has nothing to tell.
ALTER TABLE {core} ADD COLUMN told_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN report text NOT NULL DEFAULT '';

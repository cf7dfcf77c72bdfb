-- How a run came about, when it may begin, what is done when it fails, and what belongs to it.

ALTER TABLE runs ADD COLUMN params TEXT NOT NULL DEFAULT '{}';          -- JSON: name to value
ALTER TABLE runs ADD COLUMN parent INTEGER;                             -- the run that made it
ALTER TABLE runs ADD COLUMN made_by TEXT NOT NULL DEFAULT '';           -- search:3, workflow:14
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;        -- a higher one goes first
ALTER TABLE runs ADD COLUMN after TEXT NOT NULL DEFAULT '[]';           -- JSON: runs to be over first
ALTER TABLE runs ADD COLUMN after_ok INTEGER NOT NULL DEFAULT 0;        -- 1: and to have succeeded
ALTER TABLE runs ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;         -- how often it is tried again
ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE runs ADD COLUMN archived REAL;                              -- when; NULL: it is not
ALTER TABLE runs ADD COLUMN idempotent TEXT NOT NULL DEFAULT '';        -- hash of all it was asked with
ALTER TABLE runs ADD COLUMN auto_resume INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN resumed_from INTEGER;
ALTER TABLE runs ADD COLUMN resumed_as INTEGER;
ALTER TABLE runs ADD COLUMN stop_conditions TEXT NOT NULL DEFAULT '[]'; -- JSON: as they were given
ALTER TABLE runs ADD COLUMN tensorboard TEXT NOT NULL DEFAULT '';       -- a folder of the run
ALTER TABLE runs ADD COLUMN distributed INTEGER NOT NULL DEFAULT 0;     -- ranks; 0: it is one process
ALTER TABLE runs ADD COLUMN source TEXT NOT NULL DEFAULT '';            -- git URL and hash of its code
ALTER TABLE runs ADD COLUMN link TEXT NOT NULL DEFAULT '';              -- an address to open

CREATE INDEX runs_name ON runs (name) WHERE name <> '';
CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_made_by ON runs (made_by) WHERE made_by <> '';
CREATE INDEX runs_idempotent ON runs (idempotent) WHERE idempotent <> '';
CREATE INDEX runs_created ON runs (created);

ALTER TABLE machine_types ADD COLUMN min_machines INTEGER NOT NULL DEFAULT 0; -- kept ready
ALTER TABLE machine_types ADD COLUMN idle_seconds REAL NOT NULL DEFAULT 1800; -- then no longer

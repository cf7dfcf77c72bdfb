-- What a run runs on: the folder as it was, an environment, mounts; and what it left.

ALTER TABLE runs ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN code TEXT NOT NULL DEFAULT '';         -- object; '': in the folder itself
ALTER TABLE runs ADD COLUMN dependencies TEXT;                     -- JSON; NULL: the engine's own
ALTER TABLE runs ADD COLUMN mounts TEXT NOT NULL DEFAULT '[]';     -- JSON: resource, path, object
ALTER TABLE runs ADD COLUMN environment TEXT NOT NULL DEFAULT '';  -- its key
ALTER TABLE runs ADD COLUMN stages TEXT NOT NULL DEFAULT '{}';     -- JSON: stage to seconds
ALTER TABLE runs ADD COLUMN outputs TEXT;                          -- JSON: files, size

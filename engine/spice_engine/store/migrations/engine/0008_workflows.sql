-- Workflows: scripts that make runs, and declared steps with what became of each.

CREATE TABLE workflows (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  kind         TEXT NOT NULL,                    -- script, local, declared
  name         TEXT NOT NULL DEFAULT '',
  state        TEXT NOT NULL,
  message      TEXT NOT NULL DEFAULT '',
  created      REAL NOT NULL,
  ended        REAL,
  run          INTEGER,                          -- the managing run of a script
  command      TEXT NOT NULL DEFAULT '[]',       -- JSON
  file         TEXT NOT NULL DEFAULT '',         -- of a declared one, in the app folder
  definition   TEXT NOT NULL DEFAULT '',         -- its text, as it was
  params       TEXT NOT NULL DEFAULT '{}',       -- JSON: name to value, as asked for
  code         TEXT NOT NULL DEFAULT '',         -- object: the folder as it was
  repos        TEXT NOT NULL DEFAULT '{}',       -- JSON: label to [source, object]
  project      TEXT NOT NULL DEFAULT '',
  description  TEXT NOT NULL DEFAULT '',
  fresh        INTEGER NOT NULL DEFAULT 0,       -- 1: nothing is taken from earlier runs
  resumed      INTEGER NOT NULL DEFAULT 0,       -- how often
  archived     REAL
) STRICT;
CREATE INDEX workflows_state ON workflows (state);

CREATE TABLE workflow_steps (
  workflow     INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
  position     INTEGER NOT NULL,
  key          TEXT NOT NULL,                    -- train, train[2]
  state        TEXT NOT NULL,
  run          INTEGER,
  since        INTEGER NOT NULL DEFAULT 0,       -- the newest run when it was about to start
  fingerprint  TEXT NOT NULL DEFAULT '',         -- hash of all that decides what it does
  files        INTEGER,                          -- how many its run left, once it is complete
  message      TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (workflow, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_steps_fingerprint ON workflow_steps (fingerprint) WHERE fingerprint <> '';

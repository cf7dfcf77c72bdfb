-- The engine's own state. Times are unix seconds (REAL); JSON is text, NaN and infinities allowed.

CREATE TABLE runs (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,  -- an id is never given out twice
  kind      TEXT NOT NULL,
  name      TEXT NOT NULL DEFAULT '',
  command   TEXT NOT NULL,                      -- JSON: a list of words
  cwd       TEXT NOT NULL DEFAULT '',
  state     TEXT NOT NULL,
  outcome   TEXT,                               -- what the command's end means, beside the state
  exit_code INTEGER,
  message   TEXT NOT NULL DEFAULT '',
  created   REAL NOT NULL,
  started   REAL,
  ended     REAL,
  env       TEXT NOT NULL DEFAULT '{}',         -- JSON: name to value
  limits    TEXT NOT NULL DEFAULT '{}',         -- JSON: resource to amount
  project   TEXT
) STRICT;
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_project ON runs (project) WHERE project IS NOT NULL;

CREATE TABLE run_labels (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  label  TEXT NOT NULL,
  PRIMARY KEY (run_id, label)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_labels_label ON run_labels (label);

CREATE TABLE training_runs (
  pod             TEXT NOT NULL,
  number          INTEGER NOT NULL,             -- counts up per pod, from 1
  algorithm       TEXT NOT NULL,
  state           TEXT NOT NULL,
  episodes_wanted INTEGER NOT NULL,
  started         REAL NOT NULL,
  ended           REAL,
  error           TEXT,                         -- a stable code
  message         TEXT NOT NULL DEFAULT '',
  fingerprint     TEXT NOT NULL DEFAULT '',
  evaluation      TEXT,                         -- JSON
  policy_version  INTEGER,
  PRIMARY KEY (pod, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX training_runs_state ON training_runs (state);

-- The last number given out per pod: pruning must not make a number come again.
CREATE TABLE training_numbers (
  pod  TEXT PRIMARY KEY,
  last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE episodes (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,    -- over all pods, never given out twice
  pod     TEXT NOT NULL,
  number  INTEGER NOT NULL,
  episode INTEGER NOT NULL,
  started REAL NOT NULL,
  ended   REAL NOT NULL,
  score   REAL,                                 -- NULL: NaN, or an episode that failed
  actions TEXT NOT NULL DEFAULT '{}',           -- JSON: action to how often it was taken
  error   TEXT,
  message TEXT NOT NULL DEFAULT '',
  detail  TEXT NOT NULL DEFAULT '{}',           -- JSON
  UNIQUE (pod, number, episode),
  FOREIGN KEY (pod, number) REFERENCES training_runs (pod, number) ON DELETE CASCADE
) STRICT;

CREATE TABLE policies (
  pod             TEXT NOT NULL,
  version         INTEGER NOT NULL,             -- counts up per pod, from 1
  object          TEXT NOT NULL,                -- hash in the object store
  fingerprint     TEXT NOT NULL,
  algorithm       TEXT NOT NULL,
  created         REAL NOT NULL,
  evaluation      TEXT NOT NULL DEFAULT '{}',   -- JSON
  training_number INTEGER,                      -- NULL: imported
  PRIMARY KEY (pod, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
  pod     TEXT NOT NULL,
  alias   TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (pod, alias),
  FOREIGN KEY (pod, version) REFERENCES policies (pod, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_version ON aliases (pod, version);

-- Who needs an object; one that nobody needs is collected.
CREATE TABLE object_refs (
  object TEXT NOT NULL,
  owner  TEXT NOT NULL,
  PRIMARY KEY (object, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_refs_owner ON object_refs (owner);

CREATE TABLE settings_kv (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL                           -- JSON
) STRICT, WITHOUT ROWID;

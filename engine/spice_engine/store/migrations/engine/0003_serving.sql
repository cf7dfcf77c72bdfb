-- Resources, models and model servers. Times are unix seconds (REAL); JSON is text.

CREATE TABLE uploads (
  name    TEXT PRIMARY KEY,
  object  TEXT NOT NULL,                        -- a folder's hash in the object store
  files   INTEGER NOT NULL,
  size    INTEGER NOT NULL,
  created REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
  alias   TEXT PRIMARY KEY,
  path    TEXT NOT NULL,
  created REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
  name    TEXT PRIMARY KEY,
  created REAL NOT NULL,
  creator TEXT NOT NULL,
  last    INTEGER NOT NULL DEFAULT 0            -- the last number given out: none comes again
) STRICT, WITHOUT ROWID;

CREATE TABLE model_versions (
  model       TEXT NOT NULL REFERENCES models (name) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  version     TEXT NOT NULL DEFAULT '',         -- a custom name beside the number
  object      TEXT NOT NULL,                    -- a folder's hash in the object store
  resource    TEXT NOT NULL,
  files       TEXT NOT NULL DEFAULT '[]',       -- JSON: PATH[:DEST] each; none: all of it
  size        INTEGER NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  created     REAL NOT NULL,
  creator     TEXT NOT NULL,
  run_id      INTEGER,                          -- the run whose outputs it is
  PRIMARY KEY (model, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX model_versions_name ON model_versions (model, version) WHERE version <> '';

CREATE TABLE model_aliases (
  model  TEXT NOT NULL,
  alias  TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (model, alias),
  FOREIGN KEY (model, number) REFERENCES model_versions (model, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE servers (
  name     TEXT PRIMARY KEY,
  wish     TEXT NOT NULL,                       -- running or stopped
  state    TEXT NOT NULL,
  message  TEXT NOT NULL DEFAULT '',
  version  INTEGER NOT NULL,                    -- the one that is wanted
  good     INTEGER,                             -- the last one that got ready
  pods     INTEGER NOT NULL,                    -- how many replicas are wanted now
  token    TEXT NOT NULL,
  created  REAL NOT NULL,
  updated  REAL NOT NULL,
  replica  INTEGER NOT NULL DEFAULT 0,          -- the last number given to a replica
  running_since REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE server_versions (
  server     TEXT NOT NULL REFERENCES servers (name) ON DELETE CASCADE,
  number     INTEGER NOT NULL,
  definition TEXT NOT NULL,                     -- JSON
  code       TEXT NOT NULL DEFAULT '',          -- hash of the app folder's snapshot
  models     TEXT NOT NULL DEFAULT '[]',        -- JSON: [name, number, version, object] each, as resolved
  mounts     TEXT NOT NULL DEFAULT '[]',        -- JSON: [destination, object] each
  environment TEXT NOT NULL DEFAULT '',         -- key of its environment
  state      TEXT NOT NULL,                     -- new, good, rolled back, failed
  message    TEXT NOT NULL DEFAULT '',
  created    REAL NOT NULL,
  PRIMARY KEY (server, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE replicas (
  server   TEXT NOT NULL REFERENCES servers (name) ON DELETE CASCADE,
  number   INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  state    TEXT NOT NULL,
  message  TEXT NOT NULL DEFAULT '',
  restarts INTEGER NOT NULL DEFAULT 0,
  created  REAL NOT NULL,
  ready    REAL,
  ended    REAL,
  PRIMARY KEY (server, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE scale_decisions (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  server TEXT NOT NULL REFERENCES servers (name) ON DELETE CASCADE,
  time   REAL NOT NULL,
  before INTEGER NOT NULL,
  after  INTEGER NOT NULL,
  reason TEXT NOT NULL,
  inputs TEXT NOT NULL DEFAULT '{}'             -- JSON
) STRICT;
CREATE INDEX scale_decisions_server ON scale_decisions (server, time);

CREATE TABLE node_groups (
  name    TEXT PRIMARY KEY,
  cpu     REAL NOT NULL,
  memory  INTEGER NOT NULL,
  gpus    INTEGER NOT NULL,
  created REAL NOT NULL
) STRICT, WITHOUT ROWID;

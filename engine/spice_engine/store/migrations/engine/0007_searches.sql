-- Searches over parameters, and their trials.

CREATE TABLE searches (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,  -- an id is never given out twice
  method        TEXT NOT NULL,                      -- grid, random, bayesian
  source        TEXT NOT NULL,                      -- runs, pod, code: what a trial is
  name          TEXT NOT NULL DEFAULT '',
  description   TEXT NOT NULL DEFAULT '',
  state         TEXT NOT NULL,
  message       TEXT NOT NULL DEFAULT '',
  created       REAL NOT NULL,
  ended         REAL,
  archived      REAL,
  plan          TEXT NOT NULL,                      -- JSON: all that it was asked for with
  code          TEXT NOT NULL DEFAULT '',           -- object of the folder as it was
  dependencies  TEXT,                               -- JSON; NULL: the engine's own
  mounts        TEXT NOT NULL DEFAULT '[]',         -- JSON: resource, path, object
  sampler_state BLOB                                -- of the random numbers after the last point
) STRICT;
CREATE INDEX searches_state ON searches (state);

CREATE TABLE trials (
  search  INTEGER NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
  number  INTEGER NOT NULL,                         -- counts up per search, from 1
  params  TEXT NOT NULL,                            -- JSON: name to value
  state   TEXT NOT NULL,
  value   REAL,                                     -- NULL: none
  run     INTEGER,
  attempt INTEGER NOT NULL DEFAULT 1,
  asked   REAL NOT NULL,
  ended   REAL,
  message TEXT NOT NULL DEFAULT '',
  why     TEXT NOT NULL DEFAULT '{}',               -- JSON: how the point was chosen
  last    TEXT,                                     -- JSON: step and value it was pruned at
  key     TEXT,                                     -- of whoever asked; the same gets the same
  PRIMARY KEY (search, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX trials_key ON trials (search, key) WHERE key IS NOT NULL;
CREATE INDEX trials_run ON trials (run) WHERE run IS NOT NULL;

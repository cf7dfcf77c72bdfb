-- Metrics: points as they came, and per-minute roll-ups of the old ones.
-- SQLite keeps infinities but turns NaN into NULL: a NULL value (without text) *is* NaN.

CREATE TABLE series (
  id     INTEGER PRIMARY KEY,
  owner  TEXT NOT NULL,                         -- 'run:42', 'server:digits/replica:1' ...
  name   TEXT NOT NULL,
  oldest REAL,                                  -- of the points not rolled up; NULL: none
  UNIQUE (owner, name)
) STRICT;
CREATE INDEX series_oldest ON series (oldest) WHERE oldest IS NOT NULL;

CREATE TABLE points (
  series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
  idx       INTEGER NOT NULL,                   -- the sender's index (an epoch, a step)
  time      REAL NOT NULL,
  value     REAL,
  text      TEXT,                               -- a metric may be a text instead of a number
  PRIMARY KEY (series_id, idx, time)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollups (
  series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
  minute    INTEGER NOT NULL,                   -- unix time / 60, rounded down
  first_idx INTEGER NOT NULL,
  last_idx  INTEGER NOT NULL,
  last_time REAL NOT NULL,
  count     INTEGER NOT NULL,                   -- points, NaN among them
  missing   INTEGER NOT NULL,                   -- how many of them were NaN
  total     REAL,                               -- sum, minimum and maximum leave NaN out
  minimum   REAL,
  maximum   REAL,
  last      REAL,                               -- the last number that was not NaN
  PRIMARY KEY (series_id, minute)
) STRICT, WITHOUT ROWID;

-- How far files of points were taken in: an offset is stored with the points before it, so that
-- after any crash each is there once.

CREATE TABLE sources (
  owner  TEXT NOT NULL,                         -- 'runs/42'
  name   TEXT NOT NULL,                         -- the file, as its reader names it
  offset INTEGER NOT NULL,                      -- bytes
  PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

-- What runs sent stays as it came; only what is measured of them is merged with age.
UPDATE series SET oldest = NULL
WHERE owner LIKE 'runs/%' AND name NOT LIKE 'system/%';

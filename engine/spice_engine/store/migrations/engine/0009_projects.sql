-- Projects: named groups of runs. `key` is the name without regard to case; runs have the name.

CREATE TABLE projects (
  key         TEXT PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL DEFAULT '',
  creator     TEXT NOT NULL DEFAULT '',
  created     REAL NOT NULL,
  archived    REAL                              -- when; NULL: it is not
) STRICT, WITHOUT ROWID;

-- Earlier engines took any name.
INSERT INTO projects (key, name, created)
  SELECT lower(project), min(project), min(created) FROM runs
  WHERE project IS NOT NULL AND project <> '' GROUP BY lower(project);
UPDATE runs SET project = (SELECT name FROM projects WHERE key = lower(runs.project))
  WHERE project IS NOT NULL AND project <> '';

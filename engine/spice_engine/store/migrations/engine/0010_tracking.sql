-- What MLflow's clients need of runs beside what runs have: ids, tags, inputs, logged models.

CREATE TABLE experiments (                      -- the number and tags that a project has for them
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL UNIQUE,                 -- '' with number 0: runs of no project
  changed REAL NOT NULL,
  tags    TEXT NOT NULL DEFAULT '{}'            -- JSON: key to value
) STRICT;

INSERT INTO experiments (id, project, changed)
SELECT 0, '', (julianday('now') - 2440587.5) * 86400.0;
INSERT INTO experiments (project, changed) SELECT name, created FROM projects ORDER BY created;

CREATE TRIGGER project_added AFTER INSERT ON projects BEGIN
  INSERT INTO experiments (project, changed) VALUES (NEW.name, NEW.created);
END;

CREATE TRIGGER project_renamed AFTER UPDATE OF name ON projects WHEN NEW.name <> OLD.name BEGIN
  UPDATE experiments SET project = NEW.name WHERE project = OLD.name;
END;

CREATE TABLE tracked_runs (                     -- other runs' ids follow from their numbers
  run_id INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  uuid   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE run_tags (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  key    TEXT NOT NULL,
  value  TEXT NOT NULL,
  PRIMARY KEY (run_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_tags_key ON run_tags (key);

CREATE TABLE run_datasets (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  digest TEXT NOT NULL,
  detail TEXT NOT NULL,                         -- JSON: source_type, source, schema, profile
  tags   TEXT NOT NULL,                         -- JSON: key to value
  PRIMARY KEY (run_id, name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_models (
  id      TEXT PRIMARY KEY,
  run_id  INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  folder  TEXT NOT NULL,                        -- in the run's outputs
  type    TEXT NOT NULL,
  status  TEXT NOT NULL,
  created REAL NOT NULL,
  changed REAL NOT NULL,
  deleted REAL,
  tags    TEXT NOT NULL,                        -- JSON: key to value
  params  TEXT NOT NULL,                        -- JSON: name to value
  UNIQUE (run_id, folder)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_models (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  model  TEXT NOT NULL,
  role   TEXT NOT NULL,                         -- input or output
  step   INTEGER NOT NULL,
  PRIMARY KEY (run_id, role, model, step)
) STRICT, WITHOUT ROWID;

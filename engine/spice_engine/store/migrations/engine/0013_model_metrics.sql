-- The newest value of each metric that was logged for a logged model of MLflow's clients.

CREATE TABLE logged_model_metrics (
  model  TEXT NOT NULL REFERENCES logged_models (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  run_id INTEGER NOT NULL,                      -- the run that logged it
  value  REAL,                                  -- NULL: NaN
  step   INTEGER NOT NULL,
  time   REAL NOT NULL,
  PRIMARY KEY (model, name)
) STRICT, WITHOUT ROWID;

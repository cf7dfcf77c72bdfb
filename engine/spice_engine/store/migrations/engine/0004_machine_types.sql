-- Named classes of machines that runs run on, where somebody made or changed one.

CREATE TABLE machine_types (
  name         TEXT PRIMARY KEY,
  cpu          REAL NOT NULL,
  memory       INTEGER NOT NULL,
  gpus         INTEGER NOT NULL,
  max_machines INTEGER                          -- runs at once; NULL: any number
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN machine_type TEXT NOT NULL DEFAULT 'cpu';

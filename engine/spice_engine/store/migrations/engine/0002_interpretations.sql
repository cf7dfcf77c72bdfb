-- What people said about stretches of a pod's data; rewards may read it. Unix seconds, half-open.

CREATE TABLE interpretations (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  pod     TEXT NOT NULL,
  start   INTEGER NOT NULL,
  "end"   INTEGER NOT NULL,
  name    TEXT NOT NULL DEFAULT '',
  actions TEXT NOT NULL DEFAULT '[]',           -- JSON: a list of names
  tags    TEXT NOT NULL DEFAULT '[]',           -- JSON: likewise
  CHECK (start <= "end")
) STRICT;
CREATE INDEX interpretations_pod ON interpretations (pod, start);

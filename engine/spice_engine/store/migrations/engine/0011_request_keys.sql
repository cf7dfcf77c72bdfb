-- Keys of requests that made something: who asks again, for want of an answer, gets that.

CREATE TABLE request_keys (
  key  TEXT PRIMARY KEY,
  kind TEXT NOT NULL,                           -- run, workflow, search, model, server
  name TEXT NOT NULL,                           -- its number or name
  made REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_keys_made ON request_keys (made);

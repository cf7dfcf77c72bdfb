-- An index of only the rows where `x <> ''` is not used for `x = ?`: what the parameter is, is not
-- known when the query is planned. So runs were gone through one by one.

DROP INDEX runs_name;
CREATE INDEX runs_name ON runs (name);
DROP INDEX runs_made_by;
CREATE INDEX runs_made_by ON runs (made_by);
DROP INDEX runs_idempotent;
CREATE INDEX runs_idempotent ON runs (idempotent);
DROP INDEX workflow_steps_fingerprint;
CREATE INDEX workflow_steps_fingerprint ON workflow_steps (fingerprint);

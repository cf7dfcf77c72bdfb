-- A workflow that a script or a step of another one begins is a part of that.

ALTER TABLE workflows ADD COLUMN within INTEGER;   -- the other workflow
CREATE INDEX workflows_within ON workflows (within) WHERE within IS NOT NULL;

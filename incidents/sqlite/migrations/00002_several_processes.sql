-- +goose Up
-- The key of an alert's incident is locked with the alert's own: they differ once a rule's incident_by was changed.
ALTER TABLE incidents ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
UPDATE incidents SET key_id = json_extract(body, '$.key_id');

CREATE TABLE leases (
  name  TEXT   NOT NULL PRIMARY KEY,
  owner TEXT   NOT NULL, -- '' when nobody holds it
  turn  BIGINT NOT NULL  -- grows whenever it is taken, renewed or let go
);

CREATE TABLE threads (
  destination TEXT   NOT NULL,
  subject     TEXT   NOT NULL,
  ref         TEXT   NOT NULL, -- what the destination called its first message about the subject
  updated_at  BIGINT NOT NULL, -- when it was last told
  PRIMARY KEY (destination, subject)
) WITHOUT ROWID;
CREATE INDEX threads_by_time ON threads (updated_at);

-- +goose Down
DROP TABLE threads;
DROP TABLE leases;
ALTER TABLE incidents DROP COLUMN key_id;

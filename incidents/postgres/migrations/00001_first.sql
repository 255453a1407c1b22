-- +goose Up
-- Ids and names compare by bytes, whatever the language of the database.
CREATE TABLE shards (
  shard      INTEGER PRIMARY KEY,
  epoch      BIGINT  NOT NULL,
  next       BIGINT  NOT NULL, -- offset of the hits topic; -1: nothing was ever stored
  topic_id   TEXT    NOT NULL,
  updated_at BIGINT  NOT NULL  -- here and below: Unix milliseconds
) WITH (fillfactor = 50); -- every row is written every second: room for its next version keeps indices as they are

CREATE TABLE checkpoints (
  shard    INTEGER NOT NULL,
  at       BIGINT  NOT NULL,
  topic_id TEXT    NOT NULL,
  memory   BYTEA   NOT NULL,
  PRIMARY KEY (shard, at)
);

CREATE TABLE alerts (
  id          TEXT COLLATE "C" PRIMARY KEY,
  revision    BIGINT NOT NULL,
  tenant      TEXT   NOT NULL,
  rule        TEXT   NOT NULL,
  mode        TEXT   NOT NULL,
  incident_id TEXT COLLATE "C" NOT NULL, -- '' where there is none
  updated_at  BIGINT NOT NULL,
  body        TEXT   NOT NULL            -- JSON
);
CREATE INDEX alerts_without_incident ON alerts (updated_at) WHERE incident_id = '';

CREATE TABLE incident_keys (
  key_id        TEXT COLLATE "C" PRIMARY KEY,
  episode       BIGINT NOT NULL,
  open_incident TEXT COLLATE "C" NOT NULL -- '' where there is none
);

CREATE TABLE incidents (
  id        TEXT COLLATE "C" PRIMARY KEY,
  key_id    TEXT COLLATE "C" NOT NULL,
  tenant    TEXT     NOT NULL,
  is_open   SMALLINT NOT NULL, -- 0 or 1
  state     TEXT     NOT NULL,
  severity  SMALLINT NOT NULL,
  opened_at BIGINT   NOT NULL,
  body      TEXT     NOT NULL  -- JSON
);
CREATE INDEX incidents_by_time ON incidents (opened_at, id);
CREATE INDEX incidents_open ON incidents (opened_at, id) WHERE is_open = 1;

CREATE TABLE incident_alerts (
  incident_id TEXT COLLATE "C" NOT NULL,
  alert_id    TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (incident_id, alert_id)
);

CREATE TABLE entries (
  incident_id TEXT COLLATE "C" NOT NULL,
  seq         BIGINT NOT NULL,
  body        TEXT   NOT NULL, -- JSON
  PRIMARY KEY (incident_id, seq)
);

CREATE TABLE outbox (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id          TEXT COLLATE "C" NOT NULL,
  destination TEXT COLLATE "C" NOT NULL,
  type        TEXT     NOT NULL,
  tenant      TEXT     NOT NULL,
  subject     TEXT COLLATE "C" NOT NULL,
  revision    BIGINT   NOT NULL,
  severity    SMALLINT NOT NULL,
  time        BIGINT   NOT NULL,
  body        TEXT     NOT NULL, -- JSON; '' once it was sent
  state       TEXT     NOT NULL, -- waiting, sent, parked
  created_at  BIGINT   NOT NULL,
  attempts    INTEGER  NOT NULL,
  next_at     BIGINT   NOT NULL,
  cause       TEXT     NOT NULL,
  ref         TEXT     NOT NULL,
  done_at     BIGINT   NOT NULL, -- 0: not yet
  UNIQUE (destination, id)
);
CREATE INDEX outbox_waiting ON outbox (destination, seq) WHERE state = 'waiting';
CREATE INDEX outbox_subjects ON outbox (destination, subject, seq) WHERE state = 'waiting';
CREATE INDEX outbox_sent ON outbox (done_at) WHERE state = 'sent';
CREATE INDEX outbox_parked ON outbox (done_at) WHERE state = 'parked';

CREATE TABLE leases (
  name  TEXT COLLATE "C" PRIMARY KEY,
  owner TEXT   NOT NULL, -- '' when nobody holds it
  turn  BIGINT NOT NULL  -- grows whenever it is taken, renewed or let go
);

CREATE TABLE threads (
  destination TEXT COLLATE "C" NOT NULL,
  subject     TEXT COLLATE "C" NOT NULL,
  ref         TEXT   NOT NULL, -- what the destination called its first message about the subject
  updated_at  BIGINT NOT NULL, -- when it was last told
  PRIMARY KEY (destination, subject)
);
CREATE INDEX threads_by_time ON threads (updated_at);

-- +goose Down
DROP TABLE threads;
DROP TABLE leases;
DROP TABLE outbox;
DROP TABLE entries;
DROP TABLE incident_alerts;
DROP TABLE incidents;
DROP TABLE incident_keys;
DROP TABLE alerts;
DROP TABLE checkpoints;
DROP TABLE shards;

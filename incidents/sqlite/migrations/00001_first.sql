-- +goose Up
CREATE TABLE shards (
  shard      INTEGER PRIMARY KEY,
  epoch      BIGINT  NOT NULL,
  next       BIGINT  NOT NULL, -- offset of the hits topic; -1: nothing was ever stored
  topic_id   TEXT    NOT NULL,
  updated_at BIGINT  NOT NULL  -- here and below: Unix milliseconds
);

CREATE TABLE checkpoints (
  shard    INTEGER NOT NULL,
  at       BIGINT  NOT NULL,
  topic_id TEXT    NOT NULL,
  memory   BLOB    NOT NULL,
  PRIMARY KEY (shard, at)
);

CREATE TABLE alerts (
  id          TEXT     NOT NULL PRIMARY KEY,
  revision    BIGINT   NOT NULL,
  tenant      TEXT     NOT NULL,
  rule        TEXT     NOT NULL,
  mode        TEXT     NOT NULL,
  incident_id TEXT     NOT NULL, -- '' where there is none
  updated_at  BIGINT   NOT NULL,
  body        TEXT     NOT NULL  -- JSON
);
CREATE INDEX alerts_without_incident ON alerts (updated_at) WHERE incident_id = '';

CREATE TABLE incident_keys (
  key_id        TEXT   NOT NULL PRIMARY KEY,
  episode       BIGINT NOT NULL,
  open_incident TEXT   NOT NULL  -- '' where there is none
);

CREATE TABLE incidents (
  id        TEXT     NOT NULL PRIMARY KEY,
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
  incident_id TEXT NOT NULL,
  alert_id    TEXT NOT NULL,
  PRIMARY KEY (incident_id, alert_id)
) WITHOUT ROWID;

CREATE TABLE entries (
  incident_id TEXT   NOT NULL,
  seq         BIGINT NOT NULL,
  body        TEXT   NOT NULL, -- JSON
  PRIMARY KEY (incident_id, seq)
) WITHOUT ROWID;

CREATE TABLE outbox (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          TEXT     NOT NULL,
  destination TEXT     NOT NULL,
  type        TEXT     NOT NULL,
  tenant      TEXT     NOT NULL,
  subject     TEXT     NOT NULL,
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

-- +goose Down
DROP TABLE outbox;
DROP TABLE entries;
DROP TABLE incident_alerts;
DROP TABLE incidents;
DROP TABLE incident_keys;
DROP TABLE alerts;
DROP TABLE checkpoints;
DROP TABLE shards;

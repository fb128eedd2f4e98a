-- +goose Up
CREATE TABLE alerts (
  id TEXT NOT NULL PRIMARY KEY,
  org TEXT NOT NULL,
  source TEXT NOT NULL,
  dedupe TEXT NOT NULL,
  delivery TEXT NOT NULL,
  document BIGINT NOT NULL,
  state TEXT NOT NULL,
  case_no TEXT NOT NULL,
  unmapped BOOLEAN NOT NULL,
  personal BOOLEAN NOT NULL,
  severity_id BIGINT NOT NULL,
  status TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  count BIGINT NOT NULL,
  search TEXT NOT NULL,
  facts TEXT NOT NULL,
  mapping TEXT NOT NULL,
  mapping_version BIGINT NOT NULL,
  problems TEXT NOT NULL,
  raw_sha256 TEXT NOT NULL,
  raw_type TEXT NOT NULL,
  raw_seq BIGINT NOT NULL,
  raw_object TEXT NOT NULL,
  decided_by TEXT NOT NULL,
  decided_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  UNIQUE (org, source, dedupe)
);
CREATE INDEX alerts_by_time ON alerts (org, received_at, id);
CREATE INDEX alerts_by_state ON alerts (org, state, received_at, id);
CREATE INDEX alerts_by_severity ON alerts (org, severity_id, received_at, id);
CREATE INDEX alerts_by_delivery ON alerts (delivery);

CREATE TABLE deliveries (
  id TEXT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
);

CREATE TABLE aliases (
  id TEXT NOT NULL PRIMARY KEY,
  alert TEXT NOT NULL,
  delivery TEXT NOT NULL
);
CREATE INDEX aliases_by_delivery ON aliases (delivery);

CREATE TABLE marks (
  org TEXT NOT NULL,
  mark TEXT NOT NULL,
  at BIGINT NOT NULL,
  alert TEXT NOT NULL,
  PRIMARY KEY (org, mark, at, alert)
);
CREATE INDEX marks_by_alert ON marks (alert);

CREATE TABLE sources (
  id TEXT NOT NULL PRIMARY KEY,
  last_at BIGINT NOT NULL,
  received BIGINT NOT NULL
);

-- +goose Down
DROP TABLE sources;
DROP TABLE marks;
DROP TABLE aliases;
DROP TABLE deliveries;
DROP TABLE alerts;

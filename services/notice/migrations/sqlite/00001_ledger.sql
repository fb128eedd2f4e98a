-- +goose Up
-- One row for each kind of notice of a case: the space in which a person is written to once.
CREATE TABLE campaign (
  id       INTEGER PRIMARY KEY,
  org      TEXT NOT NULL,
  case_id  TEXT NOT NULL,
  kind     TEXT NOT NULL,
  revision INTEGER NOT NULL, -- 0 for first notices, else the revision the notice is about
  UNIQUE (org, case_id, kind, revision)
);

-- One row for each order: the planning job and what became of the order.
CREATE TABLE plan (
  id         INTEGER PRIMARY KEY,
  campaign   BIGINT NOT NULL REFERENCES campaign (id),
  org        TEXT NOT NULL,
  case_id    TEXT NOT NULL,
  order_id   TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  state      SMALLINT NOT NULL,
  halt       SMALLINT NOT NULL DEFAULT 0, -- 1 paused
  next_place BIGINT NOT NULL DEFAULT 0,
  people     BIGINT NOT NULL,
  token      BIGINT NOT NULL DEFAULT 0,
  lease_till BIGINT NOT NULL DEFAULT 0,
  worker     TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT '',
  detail     TEXT NOT NULL DEFAULT '',
  granted    BIGINT NOT NULL DEFAULT 0, -- doubts a person has accepted by resuming
  first_at   BIGINT NOT NULL DEFAULT 0,
  last_at    BIGINT NOT NULL DEFAULT 0,
  told_at    BIGINT NOT NULL DEFAULT 0,
  carried    BIGINT NOT NULL DEFAULT 0, -- people counted in the campaign who are not on this list
  trace      TEXT NOT NULL DEFAULT '',
  made_at    BIGINT NOT NULL,
  UNIQUE (org, case_id, order_id)
);

-- One row for each person and channel. Written before any provider is called.
CREATE TABLE message (
  campaign BIGINT NOT NULL,
  channel  SMALLINT NOT NULL,
  person   BIGINT NOT NULL,
  state    SMALLINT NOT NULL,
  reason   SMALLINT NOT NULL,
  tries    SMALLINT NOT NULL,
  flags    SMALLINT NOT NULL,
  meaning  SMALLINT NOT NULL,
  code     INTEGER NOT NULL,
  ladder   INTEGER NOT NULL,
  attempt  BIGINT NOT NULL,
  exposed  BIGINT NOT NULL,
  bind     BIGINT NOT NULL, -- keyed hash of the contact record as it was planned
  place    BIGINT NOT NULL, -- jurisdiction, packed
  told_at  BIGINT NOT NULL, -- the provider's instant of the last receipt, unix seconds
  at       BIGINT NOT NULL, -- unix milliseconds
  PRIMARY KEY (campaign, channel, person)
) WITHOUT ROWID;

-- One row for each request (email) or run of requests (SMS), written before it is made.
CREATE TABLE attempt (
  id          INTEGER PRIMARY KEY,
  plan        BIGINT NOT NULL,
  campaign    BIGINT NOT NULL,
  channel     SMALLINT NOT NULL,
  chunk       INTEGER NOT NULL,
  token       BIGINT NOT NULL,
  state       SMALLINT NOT NULL,
  people      BLOB NOT NULL, -- person numbers in the order of the request
  n           INTEGER NOT NULL,  -- how many people
  digest      TEXT NOT NULL,     -- of the text that was sent
  flags       SMALLINT NOT NULL,
  provider_id TEXT NOT NULL DEFAULT '',
  status      INTEGER NOT NULL DEFAULT 0,
  code        INTEGER NOT NULL DEFAULT 0,
  trace       TEXT NOT NULL,
  at          BIGINT NOT NULL,
  answered_at BIGINT NOT NULL DEFAULT 0,
  settle_at   BIGINT NOT NULL DEFAULT 0,
  probes      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attempt_open ON attempt (state, settle_at) WHERE state IN (1, 5);
CREATE INDEX attempt_provider ON attempt (provider_id) WHERE provider_id <> '';

-- A slice of a plan on one channel, with the lease of whoever works on it.
CREATE TABLE chunk (
  plan        BIGINT NOT NULL,
  channel     SMALLINT NOT NULL,
  no          INTEGER NOT NULL,
  first       BIGINT NOT NULL,
  last        BIGINT NOT NULL,
  open        SMALLINT NOT NULL,
  due_at      BIGINT NOT NULL,
  token       BIGINT NOT NULL DEFAULT 0,
  lease_till  BIGINT NOT NULL DEFAULT 0,
  worker      TEXT NOT NULL DEFAULT '',
  gen         INTEGER NOT NULL DEFAULT 0,
  ticket_at   BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (plan, channel, no)
);
CREATE INDEX chunk_open ON chunk (due_at) WHERE open = 1;

-- How often messages went from one state to another and why. The tally is their sum.
CREATE TABLE moved (
  campaign BIGINT NOT NULL,
  shard    INTEGER NOT NULL,
  channel  SMALLINT NOT NULL,
  was      SMALLINT NOT NULL,
  state    SMALLINT NOT NULL,
  reason   SMALLINT NOT NULL,
  n        BIGINT NOT NULL,
  PRIMARY KEY (campaign, shard, channel, was, state, reason)
);

-- Receipts that say more than «delivered», once for each message, attempt and meaning.
CREATE TABLE remark (
  campaign BIGINT NOT NULL,
  channel  SMALLINT NOT NULL,
  person   BIGINT NOT NULL,
  attempt  BIGINT NOT NULL,
  meaning  SMALLINT NOT NULL,
  code     INTEGER NOT NULL,
  at       BIGINT NOT NULL,
  PRIMARY KEY (campaign, channel, person, attempt, meaning)
);

-- Callbacks as they were received and verified, sealed with notice's own key.
CREATE TABLE raw_receipt (
  id       INTEGER PRIMARY KEY,
  provider SMALLINT NOT NULL,
  at       BIGINT NOT NULL,
  body     BLOB NOT NULL
);

-- Verified receipts that fit no attempt we know. They are kept: they may settle a doubt later.
CREATE TABLE stray (
  id       INTEGER PRIMARY KEY,
  provider SMALLINT NOT NULL,
  message  TEXT NOT NULL,
  meaning  SMALLINT NOT NULL,
  code     INTEGER NOT NULL,
  at       BIGINT NOT NULL
);

-- Shared pacing: the instant at which a sender is free again.
CREATE TABLE bucket (
  name    TEXT PRIMARY KEY,
  next_at BIGINT NOT NULL, -- unix microseconds
  strikes INTEGER NOT NULL DEFAULT 0
);

-- What is known about the health of a provider's receipts and account.
CREATE TABLE provider (
  id      SMALLINT PRIMARY KEY,
  ok_at   BIGINT NOT NULL DEFAULT 0,
  bad_at  BIGINT NOT NULL DEFAULT 0,
  bad     BIGINT NOT NULL DEFAULT 0,
  good    BIGINT NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE provider; DROP TABLE bucket; DROP TABLE stray; DROP TABLE raw_receipt; DROP TABLE remark; DROP TABLE moved;
DROP TABLE chunk; DROP TABLE attempt; DROP TABLE message; DROP TABLE plan; DROP TABLE campaign;

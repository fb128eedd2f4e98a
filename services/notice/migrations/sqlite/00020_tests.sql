-- +goose Up
-- One row for each message of a test send, written before it is made. It counts
-- nobody of any list as told.
CREATE TABLE test_message (
  id       INTEGER PRIMARY KEY,
  org      TEXT NOT NULL,
  case_id  TEXT NOT NULL,
  test     TEXT NOT NULL,
  by_user  TEXT NOT NULL,
  to_user  TEXT NOT NULL,
  text_key TEXT NOT NULL, -- audience/channel/language
  digest   TEXT NOT NULL,
  person   BIGINT NOT NULL, -- whose values were put in; 0 for a made-up person
  channel  SMALLINT NOT NULL,
  notice   TEXT NOT NULL UNIQUE, -- the id that its receipts carry
  outcome  TEXT NOT NULL DEFAULT '', -- empty until the provider has answered
  detail   TEXT NOT NULL DEFAULT '',
  meaning  SMALLINT NOT NULL DEFAULT 0, -- of the last receipt
  at       BIGINT NOT NULL, -- unix milliseconds
  said     SMALLINT NOT NULL DEFAULT 0, -- 1 once it stands in the journal
  UNIQUE (org, test, to_user)
);
CREATE INDEX test_message_rate ON test_message (org, at);
CREATE INDEX test_message_unsaid ON test_message (org, case_id) WHERE said = 0;

-- +goose Down
DROP TABLE test_message;

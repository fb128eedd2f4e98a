-- +goose Up
-- Every attempt names the account that carried it: only that one is asked about
-- it, and only its receipts count.
ALTER TABLE attempt ADD COLUMN account TEXT NOT NULL DEFAULT '';
UPDATE attempt SET account = CASE WHEN channel=1 AND (flags & 32)<>0 THEN 'smtp' WHEN channel=1 THEN 'sendgrid' WHEN channel=2 THEN 'twilio' ELSE 'post' END;

-- A batch is held back until send_at and can be cancelled before that.
ALTER TABLE attempt ADD COLUMN batch TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN send_at BIGINT NOT NULL DEFAULT 0; -- unix seconds; 0: at once
DROP INDEX attempt_open;
CREATE INDEX attempt_open ON attempt (state, settle_at) WHERE state IN (1, 5, 7);

-- What is known about the health of an account's receipts.
CREATE TABLE account (
  name    TEXT PRIMARY KEY,
  ok_at   BIGINT NOT NULL DEFAULT 0,
  bad_at  BIGINT NOT NULL DEFAULT 0,
  bad     BIGINT NOT NULL DEFAULT 0,
  good    BIGINT NOT NULL DEFAULT 0
);
INSERT INTO account (name, ok_at, bad_at, bad, good) SELECT CASE id WHEN 1 THEN 'sendgrid' ELSE 'twilio' END, ok_at, bad_at, bad, good FROM provider WHERE id IN (1, 2);
DROP TABLE provider;

-- The duty for whose sake quiet hours were overridden last.
ALTER TABLE plan ADD COLUMN night_duty TEXT NOT NULL DEFAULT '';
ALTER TABLE plan ADD COLUMN night_due BIGINT NOT NULL DEFAULT 0; -- unix milliseconds

-- In which wave a chunk goes: the mean harm to its people, and by when they must be told.
ALTER TABLE chunk ADD COLUMN harm INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN due BIGINT NOT NULL DEFAULT 0; -- unix milliseconds; 0: not known

-- +goose Down
ALTER TABLE plan DROP COLUMN due;
ALTER TABLE chunk DROP COLUMN harm;
ALTER TABLE plan DROP COLUMN night_due;
ALTER TABLE plan DROP COLUMN night_duty;
CREATE TABLE provider (
  id      SMALLINT PRIMARY KEY,
  ok_at   BIGINT NOT NULL DEFAULT 0,
  bad_at  BIGINT NOT NULL DEFAULT 0,
  bad     BIGINT NOT NULL DEFAULT 0,
  good    BIGINT NOT NULL DEFAULT 0
);
DROP TABLE account;
DROP INDEX attempt_open;
CREATE INDEX attempt_open ON attempt (state, settle_at) WHERE state IN (1, 5);
ALTER TABLE attempt DROP COLUMN send_at;
ALTER TABLE attempt DROP COLUMN batch;
ALTER TABLE attempt DROP COLUMN account;

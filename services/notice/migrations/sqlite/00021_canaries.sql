-- +goose Up
-- One row for each request or series whose canary the provider accepted: what it
-- must hold for the canary, and what it was found to hold.
CREATE TABLE canary (
  attempt BIGINT PRIMARY KEY,
  plan    BIGINT NOT NULL,
  channel SMALLINT NOT NULL,
  who     SMALLINT NOT NULL,          -- place in the organisation's list of canaries
  message TEXT NOT NULL,              -- the provider's id of the request or message
  words   TEXT NOT NULL,              -- digest of the subject or, of a text message, of the whole
  tagged  TEXT NOT NULL DEFAULT '',   -- digest of the subject as it was handed over, with tags
  state   SMALLINT NOT NULL,          -- 1 waiting, 2 right, 3 mismatch, 4 unknown
  receipt SMALLINT NOT NULL DEFAULT 0, -- meaning of the last receipt
  asks    SMALLINT NOT NULL DEFAULT 0,
  ask_at  BIGINT NOT NULL,            -- unix milliseconds
  at      BIGINT NOT NULL
);
CREATE INDEX canary_waiting ON canary (channel, at) WHERE state = 1;
CREATE INDEX canary_plan ON canary (plan, state);

-- +goose Down
DROP TABLE canary;

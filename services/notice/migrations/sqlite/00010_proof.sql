-- +goose Up
-- What the printer or gateway confirmed about a file: the attempt is the file.
CREATE TABLE proof (
  attempt   BIGINT PRIMARY KEY,
  posted_at BIGINT NOT NULL, -- unix seconds, as the printer says
  count     BIGINT NOT NULL,
  batch     TEXT NOT NULL,   -- the printer's own name for it
  by_user   TEXT NOT NULL,   -- who handed the proof in
  at        BIGINT NOT NULL  -- unix milliseconds
);

-- +goose Down
DROP TABLE proof;

-- +goose Up
-- Where the body of a segment lies if not in its row: see shelf.go.
ALTER TABLE segment ADD COLUMN shelf BIGINT NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN size BIGINT NOT NULL DEFAULT 0;

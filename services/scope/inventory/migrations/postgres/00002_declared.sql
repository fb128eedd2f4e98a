-- +goose Up
-- What a dataset is said to hold, apart from what its records were found to
-- hold: a record that names no categories has the former.
ALTER TABLE dataset ADD COLUMN declared BIGINT NOT NULL DEFAULT 0;
UPDATE dataset SET declared = categories;


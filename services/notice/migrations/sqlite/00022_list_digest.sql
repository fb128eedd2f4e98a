-- +goose Up
-- The digest of the sealed list as far as its people have been planned.
ALTER TABLE plan ADD COLUMN list_digest BLOB;

-- +goose Down
ALTER TABLE plan DROP COLUMN list_digest;

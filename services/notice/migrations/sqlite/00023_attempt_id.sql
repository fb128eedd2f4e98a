-- +goose Up
-- The next id of an attempt. Requests carry it, and are composed before they are written down.
CREATE TABLE attempt_id (next BIGINT NOT NULL);
INSERT INTO attempt_id SELECT COALESCE(MAX(id),0)+1 FROM attempt;

-- +goose Down
DROP TABLE attempt_id;

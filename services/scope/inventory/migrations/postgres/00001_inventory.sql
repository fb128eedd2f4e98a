-- +goose Up
-- One row per organisation. generation is what readers see; next_generation is
-- the highest ever given to a delivery. keys is the key of the page-key table,
-- sealed with version key_version of the root key; secret holds the keys of the
-- blind index, sealed likewise.
CREATE TABLE inventory (
	id              BIGINT PRIMARY KEY,
	org             TEXT NOT NULL UNIQUE,
	people          BIGINT NOT NULL,
	generation      BIGINT NOT NULL,
	next_generation BIGINT NOT NULL,
	index_bits      BIGINT NOT NULL,
	terms           TEXT NOT NULL,
	key_version     BIGINT NOT NULL,
	keys            BYTEA NOT NULL,
	secret          BYTEA NOT NULL,
	destroy         BIGINT NOT NULL,
	busy_by         TEXT NOT NULL,
	busy_until      BIGINT NOT NULL
);
CREATE TABLE system (
	inventory BIGINT NOT NULL,
	key       TEXT NOT NULL,
	name      TEXT NOT NULL,
	note      TEXT NOT NULL,
	PRIMARY KEY (inventory, key)
);
CREATE TABLE dataset (
	inventory  BIGINT NOT NULL,
	id         BIGINT NOT NULL,
	key        TEXT NOT NULL,
	system     TEXT NOT NULL,
	name       TEXT NOT NULL,
	categories BIGINT NOT NULL,
	purpose    TEXT NOT NULL,
	retention  BIGINT NOT NULL,
	role       TEXT NOT NULL,
	controller TEXT NOT NULL,
	medium     TEXT NOT NULL,
	records    BIGINT NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen  BIGINT NOT NULL,
	PRIMARY KEY (inventory, id),
	UNIQUE (inventory, key)
);
-- All bulk: see segment.go for the kinds.
CREATE TABLE segment (
	inventory  BIGINT NOT NULL,
	kind       BIGINT NOT NULL,
	a          BIGINT NOT NULL,
	c          BIGINT NOT NULL,
	generation BIGINT NOT NULL,
	body       BYTEA NOT NULL,
	PRIMARY KEY (inventory, kind, a, c, generation)
);
-- Sealed bodies do not compress; out of line they are read in one piece.
ALTER TABLE segment ALTER COLUMN body SET STORAGE EXTERNAL;
-- Deliveries under way or done; id is the digest of what was delivered.
CREATE TABLE delivery (
	inventory  BIGINT NOT NULL,
	id         TEXT NOT NULL,
	base       BIGINT NOT NULL,
	generation BIGINT NOT NULL,
	state      TEXT NOT NULL,
	source     TEXT NOT NULL,
	report     TEXT NOT NULL,
	started_at BIGINT NOT NULL,
	ended_at   BIGINT NOT NULL,
	PRIMARY KEY (inventory, id)
);
CREATE TABLE tombstone (
	inventory BIGINT NOT NULL,
	number    BIGINT NOT NULL,
	at        BIGINT NOT NULL,
	reason    TEXT NOT NULL,
	identity  BYTEA NOT NULL,
	email     BYTEA NOT NULL,
	PRIMARY KEY (inventory, number)
);
CREATE TABLE sealed (
	inventory  BIGINT NOT NULL,
	case_id    TEXT NOT NULL,
	revision   BIGINT NOT NULL,
	statement  TEXT NOT NULL,
	exposures  TEXT NOT NULL,
	generation BIGINT NOT NULL,
	people     BIGINT NOT NULL,
	digest     TEXT NOT NULL,
	preview    TEXT NOT NULL,
	sealed_at  BIGINT NOT NULL,
	body       BYTEA NOT NULL,
	PRIMARY KEY (inventory, case_id, revision),
	UNIQUE (inventory, case_id, statement)
);
ALTER TABLE sealed ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE audit (
	inventory BIGINT NOT NULL,
	at        BIGINT NOT NULL,
	actor     TEXT NOT NULL,
	act       TEXT NOT NULL,
	case_id   TEXT NOT NULL,
	people    BIGINT NOT NULL,
	detail    TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (inventory, at);
CREATE TABLE mapping (
	inventory BIGINT NOT NULL,
	source    TEXT NOT NULL,
	body      TEXT NOT NULL,
	PRIMARY KEY (inventory, source)
);
-- Numbers that a person told apart again; no import joins them once more.
CREATE TABLE apart (
	inventory BIGINT NOT NULL,
	number    BIGINT NOT NULL,
	other     BIGINT NOT NULL,
	PRIMARY KEY (inventory, number, other)
);

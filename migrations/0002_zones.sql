-- Zones are working groups: their members see each other's projects.

CREATE TABLE zones (
    zone_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

ALTER TABLE users ADD COLUMN zone_id TEXT REFERENCES zones (zone_id);
ALTER TABLE users ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- SQLite adds a NOT NULL column only with a constant default; no row keeps it.
ALTER TABLE users ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT '1970-01-01T00:00:00+00:00';
UPDATE users SET updated_at = created_at;

CREATE INDEX users_by_zone ON users (zone_id, id);

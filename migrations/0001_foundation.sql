-- One text for PostgreSQL and SQLite. Times and ids come from the service, never from the database,
-- so that a test can replay them and both engines agree.

CREATE TABLE users (
    id UUID PRIMARY KEY,
    global_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT UNIQUE,
    password_hash TEXT,
    role TEXT NOT NULL CHECK (role IN ('admin', 'analyst', 'viewer')),
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE master_data (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    edition BIGINT NOT NULL
);

CREATE TABLE process_technologies (
    code TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE feedstocks (
    code TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE countries (
    code TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE utilities (
    code TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE products (
    code TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE default_sets (
    process TEXT NOT NULL REFERENCES process_technologies (code),
    feedstock TEXT NOT NULL REFERENCES feedstocks (code),
    country TEXT NOT NULL REFERENCES countries (code),
    inputs JSONB NOT NULL,
    notes TEXT NOT NULL,
    PRIMARY KEY (process, feedstock, country)
);

CREATE TABLE projects (
    id UUID PRIMARY KEY,
    owner_id UUID NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX projects_by_owner ON projects (owner_id, id);

CREATE TABLE scenarios (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    process TEXT NOT NULL REFERENCES process_technologies (code),
    feedstock TEXT NOT NULL REFERENCES feedstocks (code),
    country TEXT NOT NULL REFERENCES countries (code),
    inputs JSONB NOT NULL,
    revision BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('draft', 'calculating', 'calculated', 'failed')),
    run_id UUID,
    rest_status TEXT CHECK (rest_status IN ('draft', 'calculated', 'failed')),
    rest_run_id UUID,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK ((status = 'draft') = (run_id IS NULL)),
    CHECK ((status = 'calculating') = (rest_status IS NOT NULL))
);

CREATE INDEX scenarios_by_project ON scenarios (project_id, id);

CREATE TABLE runs (
    id UUID PRIMARY KEY,
    scenario_id UUID NOT NULL REFERENCES scenarios (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    engine_version TEXT NOT NULL,
    edition BIGINT NOT NULL,
    snapshot JSONB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    attempt BIGINT NOT NULL,
    lease_owner UUID,
    lease_until TIMESTAMPTZ,
    result JSONB,
    failure JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    CHECK ((state = 'succeeded') = (result IS NOT NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);

CREATE INDEX runs_by_scenario ON runs (scenario_id, id);

-- At most one run of a scenario is in motion.
CREATE UNIQUE INDEX runs_in_motion ON runs (scenario_id) WHERE state IN ('queued', 'running');

-- Imports: files of scenarios, on their way into a project.

CREATE TABLE operations (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    file_name TEXT NOT NULL,
    format TEXT NOT NULL CHECK (format IN ('csv', 'json', 'xlsx')),
    columns TEXT NOT NULL,
    calculate BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    rows BIGINT NOT NULL,
    created BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    calculated BIGINT NOT NULL,
    not_calculated BIGINT NOT NULL,
    -- The chunk of rows that is next, and the line of the last scenario that was calculated.
    position BIGINT NOT NULL,
    calculated_line BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    -- How often it was taken up since it last got further.
    stumbles BIGINT NOT NULL,
    lease_owner UUID,
    lease_until TIMESTAMPTZ,
    failure JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);

CREATE INDEX operations_by_project ON operations (project_id, id);
CREATE INDEX operations_by_user ON operations (user_id);
CREATE INDEX operations_in_motion ON operations (id) WHERE state IN ('queued', 'running');

-- Rows that were not looked at yet, many to a chunk, compressed.
CREATE TABLE operation_chunks (
    operation_id UUID NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (operation_id, position)
);

-- What became of each row: a scenario, which may be gone by now, or what is wrong with it.
CREATE TABLE operation_rows (
    operation_id UUID NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    line BIGINT NOT NULL,
    scenario_id UUID,
    faults TEXT,
    PRIMARY KEY (operation_id, line),
    CHECK ((scenario_id IS NULL) <> (faults IS NULL))
);

CREATE INDEX operation_rows_refused ON operation_rows (operation_id, line) WHERE faults IS NOT NULL;

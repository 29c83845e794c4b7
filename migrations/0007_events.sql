-- What happened, in the order in which readers see it: the replay of live streams, and the outbox of the feed.

-- `tx` is the transaction that wrote the row (0 on SQLite, where transactions take turns), `n` its number there.
-- Transactions end in another order than they begin in: readers stop before the oldest that still runs.
-- No foreign keys: what happened outlives what it happened to. Without an owner a row is for everybody.
CREATE TABLE events (
    tx BIGINT NOT NULL,
    n BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    owner_id UUID,
    project_id UUID,
    scenario_id UUID,
    run_id UUID,
    operation_id UUID,
    status TEXT,
    version BIGINT,
    body JSONB NOT NULL,
    PRIMARY KEY (tx, n)
);

CREATE INDEX events_by_time ON events (at);

-- How far events were removed, and how far they were published.
CREATE TABLE event_marks (
    name TEXT PRIMARY KEY CHECK (name IN ('removed', 'published')),
    tx BIGINT NOT NULL,
    n BIGINT NOT NULL
);

INSERT INTO event_marks (name, tx, n) VALUES ('removed', 0, 0), ('published', 0, 0);

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
CREATE INDEX events_stale ON events (scenario_id, run_id) WHERE kind = 'stale';

-- How far events were removed, and how far they were published.
CREATE TABLE event_marks (
    name TEXT PRIMARY KEY CHECK (name IN ('removed', 'published')),
    tx BIGINT NOT NULL,
    n BIGINT NOT NULL
);

INSERT INTO event_marks (name, tx, n) VALUES ('removed', 0, 0), ('published', 0, 0);

-- What lets a page open one stream, once, where it cannot send its token.
CREATE TABLE event_tickets (
    hash TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id UUID,
    key_id UUID,
    ends_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);

-- How far messages of other systems were taken in: written in the transaction that does what they say.
CREATE TABLE feed_offsets (
    topic TEXT NOT NULL,
    part BIGINT NOT NULL,
    next BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);

-- The process that publishes events, until its time is over. On SQLite there is only one.
CREATE TABLE feed_publisher (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    owner UUID,
    until TIMESTAMPTZ
);

INSERT INTO feed_publisher (id) VALUES (1);

-- The newest alerts; older ones are removed.
CREATE TABLE alerts (
    id UUID PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    body JSONB NOT NULL
);

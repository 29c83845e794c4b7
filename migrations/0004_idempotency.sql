-- What a request with an Idempotency-Key made, kept for a day so that the same request, sent again,
-- makes nothing and is answered alike. `digest` tells whether it is the same request.
-- The answer is JSON, but TEXT: a column of type JSONB would make a number of "1" on SQLite.
CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, key)
);

-- Runs ask for other analyses than the base analysis, and say how far they are.

ALTER TABLE runs ADD COLUMN analysis TEXT NOT NULL DEFAULT 'base';
ALTER TABLE runs ADD COLUMN analysis_result JSONB;
ALTER TABLE runs ADD COLUMN stage TEXT;
ALTER TABLE runs ADD COLUMN done BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN total BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN started_at TIMESTAMPTZ;

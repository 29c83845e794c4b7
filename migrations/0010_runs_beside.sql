-- A scenario's status follows its base analysis; other analyses are runs beside it, one in motion of each kind.

DROP INDEX runs_in_motion;
CREATE UNIQUE INDEX runs_in_motion ON runs (scenario_id, analysis) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_analysis ON runs (scenario_id, analysis, id);

-- A scenario whose other analysis is in motion is what it was before.
UPDATE scenarios
SET status = rest_status, run_id = rest_run_id, rest_status = NULL, rest_run_id = NULL, version = version + 1
WHERE status = 'calculating'
  AND EXISTS (SELECT 1 FROM runs r WHERE r.id = scenarios.run_id AND r.analysis <> 'base');

-- A scenario whose other analysis has failed has the newest base result or failure again. An analysis that has succeeded
-- has a base result, too: a scenario that is calculated by one stays so.
UPDATE scenarios
SET status = COALESCE((
        SELECT CASE r.state WHEN 'succeeded' THEN 'calculated' ELSE 'failed' END
        FROM runs r
        WHERE r.scenario_id = scenarios.id AND (r.state = 'succeeded' OR r.state = 'failed' AND r.analysis = 'base')
        ORDER BY r.id DESC
        LIMIT 1), 'draft'),
    run_id = (
        SELECT r.id
        FROM runs r
        WHERE r.scenario_id = scenarios.id AND (r.state = 'succeeded' OR r.state = 'failed' AND r.analysis = 'base')
        ORDER BY r.id DESC
        LIMIT 1),
    version = version + 1
WHERE status = 'failed'
  AND EXISTS (SELECT 1 FROM runs r WHERE r.id = scenarios.run_id AND r.analysis <> 'base');

UPDATE scenarios
SET rest_status = COALESCE((
        SELECT CASE r.state WHEN 'succeeded' THEN 'calculated' ELSE 'failed' END
        FROM runs r
        WHERE r.scenario_id = scenarios.id AND (r.state = 'succeeded' OR r.state = 'failed' AND r.analysis = 'base')
        ORDER BY r.id DESC
        LIMIT 1), 'draft'),
    rest_run_id = (
        SELECT r.id
        FROM runs r
        WHERE r.scenario_id = scenarios.id AND (r.state = 'succeeded' OR r.state = 'failed' AND r.analysis = 'base')
        ORDER BY r.id DESC
        LIMIT 1),
    version = version + 1
WHERE rest_status = 'failed'
  AND EXISTS (SELECT 1 FROM runs r WHERE r.id = scenarios.rest_run_id AND r.analysis <> 'base');

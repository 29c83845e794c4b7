-- The span of a trace that an event was stored for, as a traceparent (W3C Trace Context); none where nobody knows.
ALTER TABLE events ADD COLUMN trace TEXT;

-- Webhook endpoints and the queue of messages for them.

CREATE TABLE endpoint (
    endpoint_id text PRIMARY KEY,
    url text NOT NULL,
    secrets text[] NOT NULL,
    enabled boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- A lease is a due_at in the future: a worker that dies lets it pass, and the delivery is due again. Settled rows stay,
-- so that a message queued twice is delivered once.
CREATE TABLE delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    message_id text NOT NULL,
    body bytea NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'dead')),
    attempt integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    status integer,
    detail text,
    UNIQUE (endpoint_id, message_id)
);
CREATE INDEX delivery_due ON delivery (endpoint_id, due_at, delivery_id) WHERE state = 'due';

CREATE VIEW delivery_dead_letter AS
    SELECT delivery_id, endpoint_id, message_id, body, attempt, queued_at, settled_at, detail
    FROM delivery WHERE state = 'dead';

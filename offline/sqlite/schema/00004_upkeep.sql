-- +goose Up

-- When the posted content was taken out, because its time was over; see upkeep.go.
ALTER TABLE sales ADD COLUMN pruned_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sales_prunable ON sales (accepted_at) WHERE pruned_at = 0 AND state IN ('delivered', 'discarded');
ALTER TABLE operations ADD COLUMN pruned_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX operations_prunable ON operations (created_at) WHERE pruned_at = 0 AND state IN ('delivered', 'discarded');

-- What waits for a person here, without what another machine took over.
CREATE INDEX operations_open_here ON operations (seq) WHERE state = 'parked' AND reason <> 'moved';

-- Queues that went to another machine or came from one; see move.go.
CREATE TABLE moves (
    id         TEXT    NOT NULL,
    direction  TEXT    NOT NULL CHECK (direction IN ('out', 'in')),
    at         INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    PRIMARY KEY (id, direction)
) STRICT;

-- +goose Up

-- Voids, captures and tips of payments. As with payments, body is what the API shows and memo what recovery compares with.
CREATE TABLE payment_operations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    payment_id TEXT    NOT NULL REFERENCES payments (id),
    terminal   TEXT    NOT NULL,
    type       TEXT    NOT NULL CHECK (type IN ('void', 'capture', 'tip')),
    state      TEXT    NOT NULL,
    amount     TEXT    NOT NULL,
    told       INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
    created_at INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    memo       TEXT    NOT NULL
) STRICT;
CREATE INDEX payment_operations_payment ON payment_operations (payment_id, seq);
CREATE INDEX payment_operations_open ON payment_operations (terminal, seq) WHERE state IN ('created', 'processing', 'in_doubt', 'unresolved');
CREATE INDEX payment_operations_told ON payment_operations (terminal, seq) WHERE told = 1;

-- payments are asked for by terminal and time when a day is closed
CREATE INDEX payments_terminal ON payments (terminal, created_at);

-- Ends of day, body is what the API shows.
CREATE TABLE closings (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT    NOT NULL UNIQUE,
    terminal TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX closings_terminal ON closings (terminal, seq);

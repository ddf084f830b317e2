-- Every time is an INTEGER: milliseconds since 1970 in UTC, 0 for none. Money is TEXT. Ids are TEXT (UUIDv7).

-- +goose Up

-- One row: which generation of the queue this file is, and how many commits it has seen (see highwater.go).
CREATE TABLE meta (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    epoch   TEXT    NOT NULL,
    commits INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What was found wrong at a start; shown until a person has taken note of it.
CREATE TABLE findings (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    code     TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    hint     TEXT    NOT NULL,
    severity TEXT    NOT NULL,
    noted_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE pairings (
    id         TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    token_hash BLOB    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- First answers under idempotency keys, kept for good.
CREATE TABLE answers (
    seq         INTEGER PRIMARY KEY,
    pairing_id  TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    location    TEXT    NOT NULL,
    body        BLOB,
    at          INTEGER NOT NULL,
    UNIQUE (pairing_id, key)
) STRICT;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    type    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    scanner TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    data    BLOB
) STRICT;

-- Append-only. hash = SHA-256 over prev_hash and the row's content (see audit.go).
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor_id   TEXT    NOT NULL,
    actor_name TEXT    NOT NULL,
    actor_role TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    note       TEXT    NOT NULL,
    prev_hash  BLOB    NOT NULL,
    hash       BLOB    NOT NULL
) STRICT;

-- state is the worst of the operations' states, kept in the commit that changes one of them.
CREATE TABLE sales (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    store_code     TEXT    NOT NULL,
    transaction_id TEXT    NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('sale', 'refund')),
    currency       TEXT    NOT NULL,
    amount         TEXT    NOT NULL,
    body           BLOB    NOT NULL,
    content_hash   BLOB    NOT NULL,
    warnings       TEXT    NOT NULL,
    tenders        TEXT    NOT NULL,
    accepted_at    INTEGER NOT NULL,
    accepted_by    TEXT    NOT NULL,
    state          TEXT    NOT NULL
) STRICT;
CREATE INDEX sales_transaction ON sales (transaction_id, store_code);
CREATE UNIQUE INDEX sales_once ON sales (store_code, transaction_id) WHERE kind = 'sale';
CREATE UNIQUE INDEX refunds_once ON sales (store_code, transaction_id, content_hash) WHERE kind = 'refund';
CREATE INDEX sales_accepted ON sales (accepted_at);
CREATE INDEX sales_open ON sales (state, seq) WHERE state <> 'delivered';

-- payload, content_hash, stream and the dependencies never change. lane says who may send it, '' is this agent.
CREATE TABLE operations (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    type            TEXT    NOT NULL CHECK (type IN ('purchase', 'giftcardTrans', 'giftcardCapture')),
    sale_id         TEXT    NOT NULL,
    stream          TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    content_hash    BLOB    NOT NULL,
    ref             TEXT    NOT NULL,
    amount          TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    lane            TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('queued', 'sending', 'delivered', 'in_doubt', 'parked', 'discarded')),
    reason          TEXT    NOT NULL DEFAULT '',
    attempts        INTEGER NOT NULL DEFAULT 0,
    last_attempt_at INTEGER NOT NULL DEFAULT 0,
    not_before      INTEGER NOT NULL DEFAULT 0,
    error_code      TEXT,
    error_message   TEXT,
    cloud_id        TEXT    NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    delivered_at    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX operations_sale ON operations (sale_id) WHERE sale_id <> '';
CREATE INDEX operations_open ON operations (state, seq) WHERE state <> 'delivered';
CREATE INDEX operations_stream ON operations (stream, seq) WHERE state IN ('queued', 'sending', 'in_doubt', 'parked');
CREATE INDEX operations_due ON operations (not_before) WHERE state = 'queued' AND not_before > 0;

CREATE TABLE dependencies (
    op_id    TEXT    NOT NULL REFERENCES operations (id),
    n        INTEGER NOT NULL,
    needs_id TEXT    NOT NULL,
    PRIMARY KEY (op_id, n)
) STRICT, WITHOUT ROWID;

-- One row per attempt, written before its first byte leaves. boot tells the runs of the agent apart.
CREATE TABLE attempts (
    op_id       TEXT    NOT NULL REFERENCES operations (id),
    n           INTEGER NOT NULL,
    boot        TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL DEFAULT 0,
    class       TEXT    NOT NULL DEFAULT '',
    http_status INTEGER NOT NULL DEFAULT 0,
    code        TEXT    NOT NULL DEFAULT '',
    message     TEXT    NOT NULL DEFAULT '',
    cloud_id    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (op_id, n)
) STRICT, WITHOUT ROWID;

-- body is the payment as the API shows it, without saleId; memo is what recovery compares with.
CREATE TABLE payments (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    terminal   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    sale_id    TEXT    NOT NULL DEFAULT '',
    told       INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
    created_at INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    memo       TEXT    NOT NULL
) STRICT;
CREATE INDEX payments_created ON payments (created_at);
CREATE INDEX payments_open ON payments (terminal, seq) WHERE state IN ('created', 'processing', 'in_doubt', 'unresolved');
CREATE INDEX payments_unattached ON payments (seq) WHERE state = 'approved' AND sale_id = '';
CREATE INDEX payments_told ON payments (terminal, seq) WHERE told = 1;

CREATE TABLE print_jobs (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    printer     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    sale_id     TEXT    NOT NULL,
    reprint_of  TEXT    NOT NULL,
    copies      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL DEFAULT 0,
    error       TEXT    NOT NULL,
    document    BLOB,
    raw         BLOB
) STRICT;
CREATE INDEX print_jobs_open ON print_jobs (printer, seq) WHERE state IN ('queued', 'sending', 'blocked');

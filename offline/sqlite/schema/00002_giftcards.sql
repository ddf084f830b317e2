-- +goose Up

-- A gift card transaction; its operation bears the same id, and where it stands is told by its operations. code and pin
-- are sealed before they come here; pin goes when the transaction is delivered or discarded. done = nothing more will
-- happen to it.
CREATE TABLE giftcards (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    stream          TEXT    NOT NULL,
    mask            TEXT    NOT NULL,
    code_type       TEXT    NOT NULL,
    trans_type      TEXT    NOT NULL CHECK (trans_type IN ('USE', 'ADD')),
    mode            TEXT    NOT NULL CHECK (mode IN ('authorize', 'immediate')),
    amount          TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    reference       TEXT    NOT NULL,
    source_id       TEXT    NOT NULL,
    code            BLOB,
    pin             BLOB,
    created_at      INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    offline         INTEGER NOT NULL DEFAULT 0 CHECK (offline IN (0, 1)),
    before          TEXT    NOT NULL DEFAULT '',
    balance         TEXT    NOT NULL DEFAULT '',
    giftcard_id     TEXT    NOT NULL DEFAULT '',
    expires_at      INTEGER NOT NULL DEFAULT 0,
    canceled_at     INTEGER NOT NULL DEFAULT 0,
    expired         INTEGER NOT NULL DEFAULT 0 CHECK (expired IN (0, 1)),
    sale_id         TEXT    NOT NULL DEFAULT '',
    capture_op      TEXT    NOT NULL DEFAULT '',
    captured_amount TEXT    NOT NULL DEFAULT '',
    done            INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
) STRICT;
CREATE INDEX giftcards_open ON giftcards (seq) WHERE done = 0;
CREATE INDEX giftcards_capture ON giftcards (capture_op) WHERE capture_op <> '';

-- What a card was last known to hold, by the keyed hash of its code.
CREATE TABLE giftcard_balances (
    stream      TEXT PRIMARY KEY,
    giftcard_id TEXT    NOT NULL,
    balance     TEXT    NOT NULL,
    as_of       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE giftcard_balances;
DROP TABLE giftcards;

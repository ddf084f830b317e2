-- The local copy of the cloud's catalogue. It can be fetched again: nothing else refers to it.

-- +goose Up

-- position is JSON, see catalogue.Position.
CREATE TABLE catalogue_feeds (
    feed     TEXT PRIMARY KEY,
    position TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
    id        INTEGER PRIMARY KEY,
    sku       TEXT    NOT NULL UNIQUE,
    name      TEXT    NOT NULL,
    long_name TEXT    NOT NULL,
    sale_uom  TEXT    NOT NULL,
    stock_uom TEXT    NOT NULL,
    codes     TEXT    NOT NULL, -- JSON array of barcodes
    as_of     INTEGER NOT NULL
) STRICT;
CREATE INDEX items_as_of ON items (as_of);

CREATE TABLE item_codes (
    code    TEXT    NOT NULL,
    item_id INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    PRIMARY KEY (code, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_codes_item ON item_codes (item_id);

-- Prices and stock may come before their item does.
CREATE TABLE shelves (
    sku       TEXT    NOT NULL,
    warehouse TEXT    NOT NULL,
    price     TEXT    NOT NULL,
    quantity  TEXT    NOT NULL,
    as_of     INTEGER NOT NULL,
    PRIMARY KEY (sku, warehouse)
) STRICT, WITHOUT ROWID;
CREATE INDEX shelves_as_of ON shelves (as_of);

CREATE TABLE customers (
    n          INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    member_id  TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    full_name  TEXT    NOT NULL,
    phone      TEXT    NOT NULL,
    phone_tail TEXT    NOT NULL, -- last seven digits, '' for shorter numbers
    email      TEXT    NOT NULL,
    as_of      INTEGER NOT NULL
) STRICT;
CREATE INDEX customers_member ON customers (member_id) WHERE member_id <> '';
CREATE INDEX customers_phone ON customers (phone_tail) WHERE phone_tail <> '';
CREATE INDEX customers_as_of ON customers (as_of);

-- Rows of feeds that are kept as they came.
CREATE TABLE catalogue_records (
    feed  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    owner TEXT    NOT NULL,
    day   TEXT    NOT NULL,
    body  TEXT    NOT NULL,
    as_of INTEGER NOT NULL,
    PRIMARY KEY (feed, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX catalogue_records_owner ON catalogue_records (feed, owner, day);
CREATE INDEX catalogue_records_day ON catalogue_records (feed, day);
CREATE INDEX catalogue_records_as_of ON catalogue_records (feed, as_of);

-- Answers to on-demand queries, good while the cloud is away.
CREATE TABLE catalogue_kept (
    kind  TEXT    NOT NULL,
    query TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    rows  TEXT    NOT NULL,
    PRIMARY KEY (kind, query)
) STRICT, WITHOUT ROWID;
CREATE INDEX catalogue_kept_at ON catalogue_kept (at);

-- Word indexes without a copy of the texts; rowid is items.id and customers.n.
CREATE VIRTUAL TABLE items_words USING fts5(
    sku, name, long_name, codes, content='', contentless_delete=1, prefix='1 2 3',
    tokenize='unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE customers_words USING fts5(
    full_name, member_id, email, phone, content='', contentless_delete=1, prefix='1 2 3',
    tokenize='unicode61 remove_diacritics 2'
);

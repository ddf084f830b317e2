-- +goose Up

-- Payments that ended otherwise than their terminal says, until a person decided what holds; see payments.Evidence.
ALTER TABLE payments ADD COLUMN contradicted INTEGER NOT NULL DEFAULT 0 CHECK (contradicted IN (0, 1));
CREATE INDEX payments_contradicted ON payments (seq) WHERE contradicted = 1;

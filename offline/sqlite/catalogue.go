package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline/catalogue"
)

// Statements of the catalogue. Reads of rows by many keys take the keys as one JSON array.
const (
	qFeedPosition    = `SELECT position FROM catalogue_feeds WHERE feed = ?`
	qFeedPositionSet = `INSERT INTO catalogue_feeds (feed, position) VALUES (?, ?) ON CONFLICT (feed) DO UPDATE SET position = excluded.position`

	qItemHave = `SELECT id, name, long_name, codes FROM items WHERE sku = ?`
	qItemAdd  = `INSERT INTO items (sku, name, long_name, sale_uom, stock_uom, codes, as_of) VALUES (?, ?, ?, ?, ?, ?, ?)`
	qItemSet  = `UPDATE items SET name = ?2, long_name = ?3, sale_uom = ?4, stock_uom = ?5, codes = ?6, as_of = ?7 WHERE id = ?1`
	qItemDrop = `DELETE FROM items WHERE id = ?`
	qItemsOld = `SELECT id FROM items WHERE as_of < ? ORDER BY as_of LIMIT ?`

	qCodesDrop = `DELETE FROM item_codes WHERE item_id = ?`
	qCodeAdd   = `INSERT INTO item_codes (code, item_id) VALUES (?, ?) ON CONFLICT DO NOTHING`

	qItemWordsAdd  = `INSERT INTO items_words (rowid, sku, name, long_name, codes) VALUES (?, ?, ?, ?, ?)`
	qItemWordsDrop = `DELETE FROM items_words WHERE rowid = ?`

	qShelfSet = `INSERT INTO shelves (sku, warehouse, price, quantity, as_of) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (sku, warehouse) DO UPDATE SET price = excluded.price, quantity = excluded.quantity, as_of = excluded.as_of`
	qShelvesSweep = `DELETE FROM shelves WHERE (sku, warehouse) IN (SELECT sku, warehouse FROM shelves WHERE as_of < ? ORDER BY as_of LIMIT ?)`

	itemCols = `SELECT i.id, i.sku, i.name, i.long_name, i.sale_uom, i.stock_uom, i.codes, i.as_of,
		s.warehouse, s.price, s.quantity, s.as_of FROM items i LEFT JOIN shelves s ON s.sku = i.sku `
	qItemsBySKU  = itemCols + `WHERE i.sku IN (SELECT value FROM json_each(?)) ORDER BY i.id, s.warehouse`
	qItemsByCode = itemCols + `WHERE i.id IN (SELECT item_id FROM item_codes WHERE code IN (SELECT value FROM json_each(?))) ORDER BY i.id, s.warehouse`
	qItemsByWord = itemCols + `WHERE i.id IN (SELECT rowid FROM items_words WHERE items_words MATCH ?1 LIMIT ?2) ORDER BY i.id, s.warehouse`

	qCustomerHave = `SELECT n, full_name, member_id, email, phone FROM customers WHERE id = ?`
	qCustomerAdd  = `INSERT INTO customers (id, member_id, status, full_name, phone, phone_tail, email, as_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	qCustomerSet  = `UPDATE customers SET member_id = ?2, status = ?3, full_name = ?4, phone = ?5, phone_tail = ?6, email = ?7, as_of = ?8 WHERE n = ?1`
	qCustomerDrop = `DELETE FROM customers WHERE n = ?`
	qCustomersOld = `SELECT n FROM customers WHERE as_of < ? ORDER BY as_of LIMIT ?`

	qCustomerWordsAdd  = `INSERT INTO customers_words (rowid, full_name, member_id, email, phone) VALUES (?, ?, ?, ?, ?)`
	qCustomerWordsDrop = `DELETE FROM customers_words WHERE rowid = ?`

	customerCols       = `SELECT id, member_id, status, full_name, phone, email, as_of FROM customers `
	qCustomersByMember = customerCols + `WHERE member_id = ? AND member_id <> '' ORDER BY n`
	qCustomersByPhone  = customerCols + `WHERE phone_tail = ? AND phone_tail <> '' ORDER BY n`
	qCustomersByWord   = customerCols + `WHERE n IN (SELECT rowid FROM customers_words WHERE customers_words MATCH ?1 LIMIT ?2) ORDER BY n`

	qRecordSet = `INSERT INTO catalogue_records (feed, key, owner, day, body, as_of) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (feed, key) DO UPDATE SET owner = excluded.owner, day = excluded.day, body = excluded.body, as_of = excluded.as_of`
	qRecordsSweep = `DELETE FROM catalogue_records WHERE feed = ?1 AND key IN
		(SELECT key FROM catalogue_records WHERE feed = ?1 AND as_of < ?2 ORDER BY as_of LIMIT ?3)`
	qRecordsDrop = `DELETE FROM catalogue_records WHERE feed = ?1 AND key IN
		(SELECT key FROM catalogue_records WHERE feed = ?1 AND day <> '' AND day < ?2 ORDER BY day LIMIT ?3)`

	qCatalogueCounts = `SELECT 'item', count(*) FROM items UNION ALL SELECT 'itemWarehouse', count(*) FROM shelves
		UNION ALL SELECT 'customer', count(*) FROM customers UNION ALL SELECT feed, count(*) FROM catalogue_records GROUP BY feed`

	qKept      = `SELECT at, rows FROM catalogue_kept WHERE kind = ? AND query = ?`
	qKeptSet   = `INSERT INTO catalogue_kept (kind, query, at, rows) VALUES (?, ?, ?, ?) ON CONFLICT (kind, query) DO UPDATE SET at = excluded.at, rows = excluded.rows`
	qKeptPrune = `DELETE FROM catalogue_kept WHERE (kind, query) IN (SELECT kind, query FROM catalogue_kept ORDER BY at DESC LIMIT -1 OFFSET ?)`
)

// keptAtMost is how many on-demand answers are kept.
const keptAtMost = 500

// Catalogue is the local copy of the cloud's catalogue.
type Catalogue struct{ s *Store }

var _ catalogue.Store = Catalogue{}

// Catalogue implements catalogue.Store.
func (s *Store) Catalogue() Catalogue { return Catalogue{s} }

// Position implements catalogue.Store.
func (v Catalogue) Position(ctx context.Context, f catalogue.Feed) (catalogue.Position, error) {
	var p catalogue.Position
	var text string
	err := v.s.read.QueryRowContext(ctx, qFeedPosition, string(f)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		return p, fmt.Errorf("read position of %s: %w", f, err)
	}
	return p, nil
}

// Put implements catalogue.Store. It is new work: a full disk keeps its last room for deliveries.
func (v Catalogue) Put(ctx context.Context, f catalogue.Feed, b catalogue.Batch, p *catalogue.Position) error {
	var position []byte
	if p != nil {
		var err error
		if position, err = json.Marshal(p); err != nil {
			return fmt.Errorf("write %s: %w", f, err)
		}
	}
	err := v.s.create(ctx, func(t *tx) error {
		if err := t.putRows(f, b); err != nil {
			return err
		}
		if position == nil {
			return nil
		}
		_, err := t.exec(qFeedPositionSet, string(f), string(position))
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", f, err)
	}
	return nil
}

func (t *tx) putRows(f catalogue.Feed, b catalogue.Batch) error {
	at := millis(b.AsOf)
	for i := range b.Items {
		if err := t.putItem(&b.Items[i], at); err != nil {
			return err
		}
	}
	for _, s := range b.Stock {
		if _, err := t.exec(qShelfSet, s.SKU, s.Warehouse, s.Price, s.Quantity, at); err != nil {
			return err
		}
	}
	for i := range b.Customers {
		if err := t.putCustomer(&b.Customers[i], at); err != nil {
			return err
		}
	}
	for _, r := range b.Records {
		if _, err := t.exec(qRecordSet, string(f), r.Key, r.Owner, r.Day, string(r.Body), at); err != nil {
			return err
		}
	}
	return nil
}

// putItem writes an item, and its words only where they changed: that is most of the work.
func (t *tx) putItem(i *catalogue.Item, at int64) error {
	codes, err := list(i.Codes)
	if err != nil {
		return err
	}
	for _, s := range i.Stock {
		if _, err := t.exec(qShelfSet, i.SKU, s.Warehouse, s.Price, s.Quantity, at); err != nil {
			return err
		}
	}
	var id int64
	var name, long, had string
	err = t.row(qItemHave, i.SKU).Scan(&id, &name, &long, &had)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		res, err := t.exec(qItemAdd, i.SKU, i.Name, i.LongName, i.SaleUOM, i.StockUOM, codes, at)
		if err != nil {
			return err
		}
		if id, err = res.LastInsertId(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := t.exec(qItemSet, id, i.Name, i.LongName, i.SaleUOM, i.StockUOM, codes, at); err != nil {
			return err
		}
		if name == i.Name && long == i.LongName && had == codes {
			return nil
		}
		if _, err := t.exec(qItemWordsDrop, id); err != nil {
			return err
		}
		if _, err := t.exec(qCodesDrop, id); err != nil {
			return err
		}
	}
	for _, code := range i.Codes {
		if _, err := t.exec(qCodeAdd, code, id); err != nil {
			return err
		}
	}
	_, err = t.exec(qItemWordsAdd, id, i.SKU, i.Name, i.LongName, strings.Join(i.Codes, " "))
	return err
}

func (t *tx) putCustomer(c *catalogue.Customer, at int64) error {
	var n int64
	var name, member, email, phone string
	tail := catalogue.PhoneTail(catalogue.PhoneDigits(c.Phone))
	err := t.row(qCustomerHave, c.ID).Scan(&n, &name, &member, &email, &phone)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		res, err := t.exec(qCustomerAdd, c.ID, c.MemberID, c.Status, c.FullName, c.Phone, tail, c.Email, at)
		if err != nil {
			return err
		}
		if n, err = res.LastInsertId(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := t.exec(qCustomerSet, n, c.MemberID, c.Status, c.FullName, c.Phone, tail, c.Email, at); err != nil {
			return err
		}
		if name == c.FullName && member == c.MemberID && email == c.Email && phone == c.Phone {
			return nil
		}
		if _, err := t.exec(qCustomerWordsDrop, n); err != nil {
			return err
		}
	}
	_, err = t.exec(qCustomerWordsAdd, n, c.FullName, c.MemberID, c.Email, c.Phone)
	return err
}

// Sweep implements catalogue.Store.
func (v Catalogue) Sweep(ctx context.Context, f catalogue.Feed, before time.Time, limit int) (int, error) {
	return v.remove(ctx, f, func(t *tx) (int64, error) {
		switch f {
		case catalogue.Items:
			return t.sweepRows(qItemsOld, []any{millis(before), limit}, qItemWordsDrop, qItemDrop)
		case catalogue.Customers:
			return t.sweepRows(qCustomersOld, []any{millis(before), limit}, qCustomerWordsDrop, qCustomerDrop)
		case catalogue.Stock:
			return t.changed(qShelvesSweep, millis(before), limit)
		}
		return t.changed(qRecordsSweep, string(f), millis(before), limit)
	})
}

// DropBefore implements catalogue.Store.
func (v Catalogue) DropBefore(ctx context.Context, f catalogue.Feed, day string, limit int) (int, error) {
	return v.remove(ctx, f, func(t *tx) (int64, error) { return t.changed(qRecordsDrop, string(f), day, limit) })
}

func (v Catalogue) remove(ctx context.Context, f catalogue.Feed, do func(*tx) (int64, error)) (int, error) {
	var n int64
	err := v.s.change(ctx, func(t *tx) (err error) {
		n, err = do(t)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove rows of %s: %w", f, err)
	}
	return int(n), nil
}

// sweepRows removes rows together with their words.
func (t *tx) sweepRows(find string, args []any, drop ...string) (int64, error) {
	rows, err := t.rows(find, args...)
	if err != nil {
		return 0, err
	}
	ids, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		for _, q := range drop {
			if _, err := t.exec(q, id); err != nil {
				return 0, err
			}
		}
	}
	return int64(len(ids)), nil
}

// Counts implements catalogue.Store.
func (v Catalogue) Counts(ctx context.Context) (map[catalogue.Feed]int, error) {
	rows, err := v.s.read.QueryContext(ctx, qCatalogueCounts)
	if err != nil {
		return nil, fmt.Errorf("count catalogue: %w", err)
	}
	counts := map[catalogue.Feed]int{}
	_, err = collect(rows, func(row scanner) (struct{}, error) {
		var feed string
		var n int
		err := row.Scan(&feed, &n)
		counts[catalogue.Feed(feed)] = n
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("count catalogue: %w", err)
	}
	return counts, nil
}

// ItemsBySKU implements catalogue.Store.
func (v Catalogue) ItemsBySKU(ctx context.Context, skus []string) ([]catalogue.Item, error) {
	return v.itemsByKeys(ctx, qItemsBySKU, skus)
}

// ItemsByCode implements catalogue.Store.
func (v Catalogue) ItemsByCode(ctx context.Context, codes []string) ([]catalogue.Item, error) {
	return v.itemsByKeys(ctx, qItemsByCode, codes)
}

func (v Catalogue) itemsByKeys(ctx context.Context, query string, keys []string) ([]catalogue.Item, error) {
	text, err := list(keys)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	return v.items(ctx, query, text)
}

// SearchItems implements catalogue.Store.
func (v Catalogue) SearchItems(ctx context.Context, words []string, prefix bool, limit int) ([]catalogue.Item, error) {
	if len(words) == 0 {
		return nil, nil
	}
	return v.items(ctx, qItemsByWord, match(words, prefix), limit)
}

// match writes words as an FTS5 query that wants all of them (sqlite.org/fts5.html, section 3).
func match(words []string, prefix bool) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + strings.ReplaceAll(w, `"`, `""`) + `"`)
		if prefix {
			b.WriteString(" *")
		}
	}
	return b.String()
}

// items reads items with their shelves; rows of one item follow each other.
func (v Catalogue) items(ctx context.Context, query string, args ...any) ([]catalogue.Item, error) {
	rows, err := v.s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	var found []catalogue.Item
	last := int64(-1)
	_, err = collect(rows, func(row scanner) (struct{}, error) {
		var i catalogue.Item
		var id, at int64
		var codes string
		var warehouse, price, quantity sql.NullString
		var shelfAt sql.NullInt64
		if err := row.Scan(&id, &i.SKU, &i.Name, &i.LongName, &i.SaleUOM, &i.StockUOM, &codes, &at, &warehouse, &price, &quantity, &shelfAt); err != nil {
			return struct{}{}, err
		}
		if id != last {
			last, i.AsOf = id, fromMillis(at)
			if codes != "[]" {
				if err := json.Unmarshal([]byte(codes), &i.Codes); err != nil {
					return struct{}{}, err
				}
			}
			found = append(found, i)
		}
		if warehouse.Valid {
			at := &found[len(found)-1]
			at.Stock = append(at.Stock, catalogue.Shelf{SKU: i.SKU, Warehouse: warehouse.String, Price: price.String, Quantity: quantity.String, AsOf: fromMillis(shelfAt.Int64)})
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	return found, nil
}

// Stock implements catalogue.Store.
func (v Catalogue) Stock(ctx context.Context, sku, warehouse string, limit int) ([]catalogue.Shelf, error) {
	where, args := `1`, []any{}
	if sku != "" {
		where, args = where+` AND sku = ?`, append(args, sku)
	}
	if warehouse != "" {
		where, args = where+` AND warehouse = ?`, append(args, warehouse)
	}
	rows, err := v.s.read.QueryContext(ctx, `SELECT sku, warehouse, price, quantity, as_of FROM shelves WHERE `+where+` ORDER BY sku, warehouse LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	found, err := collect(rows, func(row scanner) (catalogue.Shelf, error) {
		var s catalogue.Shelf
		var at int64
		err := row.Scan(&s.SKU, &s.Warehouse, &s.Price, &s.Quantity, &at)
		s.AsOf = fromMillis(at)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	return found, nil
}

// SearchCustomers implements catalogue.Store.
func (v Catalogue) SearchCustomers(ctx context.Context, words []string, prefix bool, limit int) ([]catalogue.Customer, error) {
	if len(words) == 0 {
		return nil, nil
	}
	return v.customers(ctx, qCustomersByWord, match(words, prefix), limit)
}

// CustomersByMember implements catalogue.Store.
func (v Catalogue) CustomersByMember(ctx context.Context, memberID string) ([]catalogue.Customer, error) {
	return v.customers(ctx, qCustomersByMember, memberID)
}

// CustomersByPhone implements catalogue.Store.
func (v Catalogue) CustomersByPhone(ctx context.Context, digits string) ([]catalogue.Customer, error) {
	return v.customers(ctx, qCustomersByPhone, catalogue.PhoneTail(digits))
}

func (v Catalogue) customers(ctx context.Context, query string, args ...any) ([]catalogue.Customer, error) {
	rows, err := v.s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read customers: %w", err)
	}
	found, err := collect(rows, func(row scanner) (catalogue.Customer, error) {
		var c catalogue.Customer
		var at int64
		err := row.Scan(&c.ID, &c.MemberID, &c.Status, &c.FullName, &c.Phone, &c.Email, &at)
		c.AsOf = fromMillis(at)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read customers: %w", err)
	}
	return found, nil
}

// Records implements catalogue.Store: newest days first, then by key.
func (v Catalogue) Records(ctx context.Context, f catalogue.Feed, r catalogue.RecordFilter) ([]catalogue.Record, error) {
	where, args := `feed = ?`, []any{string(f)}
	for _, c := range []struct{ sql, value string }{{"key = ?", r.Key}, {"owner = ?", r.Owner}, {"day >= ?", r.From}, {"day < ?", r.To}} {
		if c.value != "" {
			where, args = where+" AND "+c.sql, append(args, c.value)
		}
	}
	rows, err := v.s.read.QueryContext(ctx, `SELECT key, owner, day, body FROM catalogue_records WHERE `+where+` ORDER BY day DESC, key LIMIT ?`, append(args, r.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f, err)
	}
	found, err := collect(rows, func(row scanner) (catalogue.Record, error) {
		var rec catalogue.Record
		var body string
		err := row.Scan(&rec.Key, &rec.Owner, &rec.Day, &body)
		rec.Body = json.RawMessage(body)
		return rec, err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f, err)
	}
	return found, nil
}

// Kept implements catalogue.Store.
func (v Catalogue) Kept(ctx context.Context, kind, query string) (catalogue.Kept, error) {
	k := catalogue.Kept{Kind: kind, Query: query}
	var at int64
	var rows string
	if err := v.s.read.QueryRowContext(ctx, qKept, kind, query).Scan(&at, &rows); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = journal.ErrNotFound
		}
		return k, fmt.Errorf("read kept %s: %w", kind, err)
	}
	k.At, k.Rows = fromMillis(at), json.RawMessage(rows)
	return k, nil
}

// Keep implements catalogue.Store.
func (v Catalogue) Keep(ctx context.Context, k catalogue.Kept) error {
	err := v.s.create(ctx, func(t *tx) error {
		if _, err := t.exec(qKeptSet, k.Kind, k.Query, millis(k.At), string(k.Rows)); err != nil {
			return err
		}
		_, err := t.exec(qKeptPrune, keptAtMost)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %s: %w", k.Kind, err)
	}
	return nil
}

package cloudsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Lot is a serial number or a lot of an item.
type Lot struct {
	SKU                        string
	WarehouseCode, SerialLotNo *string
	QuantityAvailable          *Number
}

// PastSale is one sale of the history.
type PastSale struct {
	ID                               string
	RegisterCode, TranNo, CustomerID *string
	SaleDate                         *Moment
	Lines                            []PastLine
}

// PastLine is one line of such a sale.
type PastLine struct {
	SKU      string
	Quantity *Number
}

// Thing is a row of the kinds of which only the name is documented.
type Thing struct {
	Code string
	Name *string
}

// book is one listing. Every row knows its last change.
type book[T any] struct{ rows []booked[T] }

type booked[T any] struct {
	key    string
	change int
	row    T
}

func (b *book[T]) set(key string, change int, row T) {
	b.drop(key)
	b.rows = append(b.rows, booked[T]{key, change, row})
}

func (b *book[T]) drop(key string) {
	b.rows = slices.DeleteFunc(b.rows, func(e booked[T]) bool { return e.key == key })
}

// list gives the rows by key, or, with a mark, those that changed after it in the order of their changes.
func (b *book[T]) list(since *string) ([]T, error) {
	rows := slices.Clone(b.rows)
	if since == nil {
		slices.SortStableFunc(rows, func(x, y booked[T]) int { return strings.Compare(x.key, y.key) })
	} else {
		after, err := unmark(*since)
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(e booked[T]) bool { return e.change <= after })
	}
	list := make([]T, 0, len(rows))
	for _, e := range rows {
		list = append(list, e.row)
	}
	return list, nil
}

// books are all listings that change.
type books struct {
	changes int
	goods   book[Goods]
	shelves book[Shelf]
	lots    book[Lot]
	people  book[Person]
	sales   book[PastSale]
}

// A mark is opaque to callers: the number of a change, dressed up.
func markOf(change int) string { return "~" + strconv.FormatInt(int64(change)*7919+104729, 36) }

func unmark(mark string) (int, error) {
	if mark == "" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(mark, "~")
	n, err := strconv.ParseInt(text, 36, 64)
	if !ok || err != nil || n < 104729 || (n-104729)%7919 != 0 {
		return 0, invalid("Since", "SinceValidator", "The since value is not one that this server gave.")
	}
	return int(n-104729) / 7919, nil
}

// stockUp fills the books with what the options brought.
func (s *Sim) stockUp() {
	for _, g := range s.opts.Goods {
		s.SetGoods(g)
	}
	for _, p := range s.opts.People {
		s.SetPerson(p)
	}
	warehouse, number, one := "DALLAS", "LOT-2026-07", Number("12")
	s.SetLot(Lot{SKU: "GUM001", WarehouseCode: &warehouse, SerialLotNo: &number, QuantityAvailable: &one})
	lane, tran, who, at := "LANE-1", "481", "00000000000000000212", Moment(s.opts.Now().UTC().AddDate(0, 0, -3).Format("2006-01-02T15:04:05"))
	s.SetSale(PastSale{ID: "90001", RegisterCode: &lane, TranNo: &tran, CustomerID: &who, SaleDate: &at, Lines: []PastLine{{SKU: "GUM001", Quantity: &one}}})
}

// write runs a change of the books under its number.
func (s *Sim) write(do func(b *books, change int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.changes++
	do(&s.books, s.books.changes)
}

// SetGoods adds or changes an item, its shelves too.
func (s *Sim) SetGoods(g Goods) {
	s.write(func(b *books, n int) {
		for _, shelf := range g.Warehouses {
			b.shelves.set(shelf.SKU+"|"+shelf.WarehouseCode, n, shelf)
		}
		g.Warehouses = nil
		b.goods.set(g.SKU, n, g)
	})
}

// RemoveGoods deletes an item and its shelves. No listing of changes tells of that.
func (s *Sim) RemoveGoods(sku string) {
	s.write(func(b *books, _ int) {
		b.goods.drop(sku)
		b.shelves.rows = slices.DeleteFunc(b.shelves.rows, func(e booked[Shelf]) bool { return e.row.SKU == sku })
	})
}

// SetShelf changes a price or a quantity, which does not count as a change of the item.
func (s *Sim) SetShelf(shelf Shelf) {
	s.write(func(b *books, n int) { b.shelves.set(shelf.SKU+"|"+shelf.WarehouseCode, n, shelf) })
}

// SetPerson adds or changes a customer.
func (s *Sim) SetPerson(p Person) { s.write(func(b *books, n int) { b.people.set(p.ID, n, p) }) }

// SetLot adds or changes a lot.
func (s *Sim) SetLot(l Lot) {
	s.write(func(b *books, n int) {
		b.lots.set(fmt.Sprint(l.SKU, "|", deref(l.WarehouseCode), "|", deref(l.SerialLotNo)), n, l)
	})
}

// SetSale adds or changes a sale of the history.
func (s *Sim) SetSale(p PastSale) { s.write(func(b *books, n int) { b.sales.set(p.ID, n, p) }) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// withBarcodes is the schema of a tenant whose items have barcodes, or of one like the vendor's pages.
func withBarcodes(schema string, yes bool) string {
	if yes {
		return schema
	}
	var kept []string
	for line := range strings.Lines(schema) {
		if !strings.HasPrefix(strings.TrimSpace(line), "barcode:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// listing is one page of any kind.
type listing[T any] struct {
	HasMoreResults, LimitedByPermission bool
	Until                               *string
	Results                             []T
}

// paging are the arguments that all listings share.
type paging struct{ First, Skip *int32 }

// cutPage gives the page asked for of what is left of a book after keep.
func cutPage[T any](s *Sim, pick func(*books) *book[T], p paging, since *string, keep func(T) bool) (*listing[T], error) {
	s.mu.Lock()
	list, err := pick(&s.books).list(since)
	until := markOf(s.books.changes)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(row T) bool { return !keep(row) })
	out := pageOf(s, list, p)
	if since != nil {
		out.Until = &until
	}
	return out, nil
}

func pageOf[T any](s *Sim, list []T, p paging) *listing[T] {
	limit := int32(s.opts.PageRows) //nolint:gosec // a small number
	if p.First == nil || *p.First > limit {
		first := min(limit, 100)
		if p.First != nil {
			first = limit
		}
		p.First = &first
	}
	rows, more := page(list, p.First, p.Skip)
	return &listing[T]{HasMoreResults: more, Results: rows}
}

func fits(asked *string, has string) bool { return asked == nil || *asked == has }

// Item lists the inventory: by sku, or with since by last change.
func (r reads) Item(args struct {
	First, Skip          *int32
	WarehouseCode, Since *string
}) (*listing[Goods], error) {
	if err := r.sim.need(ViewInventory); err != nil {
		return nil, err
	}
	out, err := cutPage(r.sim, func(b *books) *book[Goods] { return &b.goods }, paging{args.First, args.Skip}, args.Since, func(Goods) bool { return true })
	if err != nil {
		return nil, err
	}
	r.sim.mu.Lock()
	defer r.sim.mu.Unlock()
	for i := range out.Results {
		g := &out.Results[i]
		g.Warehouses = []Shelf{}
		for _, e := range r.sim.books.shelves.rows {
			if e.row.SKU == g.SKU && fits(args.WarehouseCode, e.row.WarehouseCode) {
				g.Warehouses = append(g.Warehouses, e.row)
			}
		}
	}
	return out, nil
}

// ItemWarehouse lists prices and stock.
func (r reads) ItemWarehouse(args struct {
	First, Skip               *int32
	WarehouseCode, SKU, Since *string
}) (*listing[Shelf], error) {
	if err := r.sim.need(ViewInventory); err != nil {
		return nil, err
	}
	return cutPage(r.sim, func(b *books) *book[Shelf] { return &b.shelves }, paging{args.First, args.Skip}, args.Since, func(s Shelf) bool {
		return fits(args.WarehouseCode, s.WarehouseCode) && fits(args.SKU, s.SKU)
	})
}

// ItemSerialLot lists serial numbers and lots.
func (r reads) ItemSerialLot(args struct {
	First, Skip *int32
	SKU, Since  *string
}) (*listing[Lot], error) {
	if err := r.sim.need(ViewInventory); err != nil {
		return nil, err
	}
	return cutPage(r.sim, func(b *books) *book[Lot] { return &b.lots }, paging{args.First, args.Skip}, args.Since, func(l Lot) bool { return fits(args.SKU, l.SKU) })
}

// Customer finds people. Without the permission it finds nobody and says that this is why.
func (r reads) Customer(args struct {
	First, Skip         *int32
	ID, MemberID, Since *string
}) (*listing[Person], error) {
	if !r.sim.granted(ViewCustomers) {
		return &listing[Person]{LimitedByPermission: true, Results: []Person{}}, nil
	}
	return cutPage(r.sim, func(b *books) *book[Person] { return &b.people }, paging{args.First, args.Skip}, args.Since, func(p Person) bool {
		return fits(args.ID, p.ID) && fits(args.MemberID, deref(p.MemberID))
	})
}

// Sale lists the history; fromDate is inclusive, toDate is not.
func (r reads) Sale(args struct {
	First, Skip                             *int32
	ID, CustomerID, FromDate, ToDate, Since *string
}) (*listing[PastSale], error) {
	if err := r.sim.need(ViewSales); err != nil {
		return nil, err
	}
	return cutPage(r.sim, func(b *books) *book[PastSale] { return &b.sales }, paging{args.First, args.Skip}, args.Since, func(s PastSale) bool {
		day := ""
		if s.SaleDate != nil {
			day = string(*s.SaleDate)[:10]
		}
		return fits(args.ID, s.ID) && fits(args.CustomerID, deref(s.CustomerID)) &&
			(args.FromDate == nil || day >= *args.FromDate) && (args.ToDate == nil || day < *args.ToDate)
	})
}

type coded struct {
	First, Skip *int32
	Code        *string
}

func (r reads) things(p Permission, args coded, names ...string) (*listing[Thing], error) {
	if err := r.sim.need(p); err != nil {
		return nil, err
	}
	var list []Thing
	for _, name := range names {
		t := Thing{Code: strings.ToUpper(strings.ReplaceAll(name, " ", "-")), Name: &name}
		if fits(args.Code, t.Code) {
			list = append(list, t)
		}
	}
	return pageOf(r.sim, list, paging{args.First, args.Skip}), nil
}

// Location lists the stores.
func (r reads) Location(args coded) (*listing[Thing], error) {
	return r.things(ViewLocations, args, "Dallas", "Houston")
}

// Product lists what the shop window shows.
func (r reads) Product(args coded) (*listing[Thing], error) {
	return r.things(ViewProducts, args, "Gum", "Chips")
}

// ProductGroup lists groups of products.
func (r reads) ProductGroup(args coded) (*listing[Thing], error) {
	return r.things(ViewProducts, args, "Snacks")
}

// ProductSection lists sections of the shop window.
func (r reads) ProductSection(args coded) (*listing[Thing], error) {
	return r.things(ViewProducts, args, "New", "Sale")
}

// ProductBanner lists banners.
func (r reads) ProductBanner(args paging) (*listing[Thing], error) {
	return r.things(ViewProducts, coded{First: args.First, Skip: args.Skip}, "Summer")
}

// ProductNotice lists notices.
func (r reads) ProductNotice(args paging) (*listing[Thing], error) {
	return r.things(ViewProducts, coded{First: args.First, Skip: args.Skip}, "Closed on Sunday")
}

// ProductSortOption lists orders of display.
func (r reads) ProductSortOption(args paging) (*listing[Thing], error) {
	return r.things(ViewProducts, coded{First: args.First, Skip: args.Skip}, "By name", "By price")
}

package cloudsim

// Goods is one item of the simulated inventory.
type Goods struct {
	SKU        string
	Name       *string
	LongName   *string
	SaleUom    *string
	StockUom   *string
	Barcode    *string // shown where Options.Barcodes is set
	Warehouses []Shelf
}

// Shelf is an item in one warehouse. Amounts are decimal texts.
type Shelf struct {
	WarehouseCode     string
	SKU               string
	BasePrice         *Number
	QuantityAvailable *Number
}

// Person is one customer.
type Person struct {
	ID       string
	MemberID *string
	Status   *string
	FullName *string
	Phone    *Phone
}

// Phone is a customer's telephone number as typed.
type Phone struct{ Raw *string }

// Card is one gift card.
type Card struct {
	ID       string
	MemberID *string
	Balance  *Number
	Codes    []CardCode
}

// CardCode is one code of a gift card.
type CardCode struct {
	ID        string
	CodeType  string
	Code      *string
	ExpiresOn *Moment
	IsMasked  bool
}

// Number is a decimal as text, the scalar of that name in the schema.
type Number string

// ImplementsGraphQLType binds the scalar.
func (Number) ImplementsGraphQLType(name string) bool { return name == "SimNumber" }

// UnmarshalGraphQL is never asked: numbers come in only within the purchase, which checks them itself.
func (n *Number) UnmarshalGraphQL(input any) error {
	t, ok := input.(string)
	if !ok || !number.MatchString(t) {
		return invalid("Number", "DecimalValidator", "not a quoted decimal")
	}
	*n = Number(t)
	return nil
}

// Moment is a date and time as text, the scalar of that name in the schema.
type Moment string

// ImplementsGraphQLType binds the scalar.
func (Moment) ImplementsGraphQLType(name string) bool { return name == "SimMoment" }

// UnmarshalGraphQL takes a date and time as the vendor's examples write it.
func (m *Moment) UnmarshalGraphQL(input any) error {
	t, ok := input.(string)
	if !ok || !moment.MatchString(t) {
		return invalid("Moment", "DateTimeValidator", "not a date and time")
	}
	*m = Moment(t)
	return nil
}

func stock() []Goods {
	item := func(sku, name, price, barcode string) Goods {
		p, q, uom := Number(price), Number("40"), "EA"
		return Goods{SKU: sku, Name: &name, LongName: &name, SaleUom: &uom, StockUom: &uom, Barcode: &barcode,
			Warehouses: []Shelf{{WarehouseCode: "DALLAS", SKU: sku, BasePrice: &p, QuantityAvailable: &q}}}
	}
	return []Goods{item("GUM001", "Gum small pack", "1.99", "036000291452"), item("LAYS002", "Lays Chips 13 oz", "3.98", "028400064057")}
}

func people() []Person {
	member, status, name, phone := "C000000212", "ACTIVE", "Ada Example", "+1 214 555 0100"
	return []Person{{ID: "00000000000000000212", MemberID: &member, Status: &status, FullName: &name, Phone: &Phone{&phone}}}
}

func cards() []Card {
	balance, code := Number("25.00"), "6006491000000001"
	return []Card{{ID: "30004", Balance: &balance, Codes: []CardCode{{ID: "1", CodeType: "PHYSICAL", Code: &code}}}}
}

// root joins queries and mutations, whose types bear names of this simulator's own.
type root struct{ sim *Sim }

// Query resolves the reads.
func (r *root) Query() *reads { return &reads{r.sim} }

// Mutation resolves the writes.
func (r *root) Mutation() *writes { return &writes{r.sim} }

// reads resolves the queries.
type reads struct{ sim *Sim }

type place struct{ Name, Version *string }

func (s *Sim) need(p Permission) error {
	if s.granted(p) {
		return nil
	}
	return &refusal{"NOT_AUTHORIZED", "The account lacks " + string(p) + ".", nil}
}

// Environment tells about the tenant.
func (r reads) Environment() (*place, error) {
	if err := r.sim.need(ViewEnvironment); err != nil {
		return nil, err
	}
	name, version := "Simulated POS cloud", "sim"
	return &place{&name, &version}, nil
}

// page cuts a list by the platform's rule: 100 rows without a limit, 1000 at most, silently.
func page[T any](list []T, first, skip *int32) ([]T, bool) {
	from, n := 0, 100
	if skip != nil && *skip > 0 {
		from = min(int(*skip), len(list))
	}
	if first != nil && *first >= 0 {
		n = min(int(*first), 1000)
	}
	to := min(from+n, len(list))
	return append([]T{}, list[from:to]...), to < len(list)
}

type cardPage struct {
	LimitedByPermission bool
	Results             []Card
}

// Giftcard finds cards by code. Codes are unique per type only, so that without a type several may match.
func (r reads) Giftcard(args struct{ Code, CodeType *string }) *cardPage {
	if !r.sim.granted(FindGiftCardByCode) || args.Code == nil {
		return &cardPage{LimitedByPermission: true, Results: []Card{}}
	}
	codeType := ""
	if args.CodeType != nil {
		codeType = *args.CodeType
	}
	r.sim.mu.Lock()
	defer r.sim.mu.Unlock()
	r.sim.lapse()
	found := []Card{}
	for _, c := range r.sim.opts.Cards {
		if c.has(*args.Code, codeType) {
			balance := Number(money(r.sim.vault.balance[c.ID]))
			c.Balance = &balance
			found = append(found, c)
		}
	}
	return &cardPage{Results: found}
}

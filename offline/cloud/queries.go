package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// querySchema is what introspection told of the queries, in memory: it is asked for when a query is first used.
type querySchema struct {
	turn    chan struct{}          // holds one token; whoever has it may use the rest
	roots   map[string]objectField // nil where not known
	types   map[string]*objectType
	askedAt time.Time
}

func newQuerySchema() querySchema { return querySchema{turn: make(chan struct{}, 1)} }

// take waits for the turn, which somebody may have who waits for the cloud.
func (s *querySchema) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *querySchema) give() { <-s.turn }

// queryRoots learns which queries there are, once a day or an hour after a failure. The result is nil where the cloud does
// not show its schema. It fails where no answer came: to go on without the schema would leave out fields that are there.
func (c *Client) queryRoots(ctx context.Context) (map[string]objectField, error) {
	s := &c.queries
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	age := time.Since(s.askedAt)
	if !s.askedAt.IsZero() && age >= 0 && (age < schemaRetry || s.roots != nil && age < schemaFresh) {
		return s.roots, nil
	}
	roots, err := c.askRoots(ctx)
	if errors.Is(err, errUnanswered) {
		return nil, err
	}
	s.types = map[string]*objectType{}
	s.askedAt, s.roots = time.Now(), roots
	if err != nil {
		c.log.InfoContext(ctx, "cloud queries not learned, documented fields are asked for", "error", err)
	}
	return s.roots, nil
}

// forgetQueries makes the next query ask for the schema again, but not more than once in an hour.
func (c *Client) forgetQueries() {
	select {
	case c.queries.turn <- struct{}{}:
	default: // it is being asked for
		return
	}
	defer c.queries.give()
	if time.Since(c.queries.askedAt) > schemaRetry {
		c.queries.askedAt = time.Time{}
	}
}

type introspectedField struct {
	Name string
	Args []struct {
		Name         string
		Type         *typeRef
		DefaultValue *string
	}
	Type *typeRef
}

func (f introspectedField) object() objectField {
	o := objectField{name: f.Name, typ: f.Type.base()}
	for t := f.Type; t != nil; t = t.OfType {
		switch t.Kind {
		case "LIST":
			o.list = true
		case "OBJECT", "INTERFACE", "UNION":
			o.object = true
		}
	}
	for _, a := range f.Args {
		o.args = append(o.args, a.Name)
		if a.Type != nil && a.Type.Kind == "NON_NULL" && a.DefaultValue == nil {
			o.needs, o.hard = append(o.needs, a.Name), true
		}
	}
	return o
}

func (c *Client) askRoots(ctx context.Context) (map[string]objectField, error) {
	var answer struct {
		Schema *struct {
			QueryType *struct{ Fields []introspectedField }
		} `json:"__schema"`
	}
	if err := c.read(ctx, "queries", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Schema == nil || answer.Schema.QueryType == nil {
		return nil, errors.New("introspect: the cloud shows no queries")
	}
	roots := map[string]objectField{}
	for _, f := range answer.Schema.QueryType.Fields {
		roots[f.Name] = f.object()
	}
	return roots, nil
}

// objectNamed gives an object type, asking for it once; nil where the cloud does not show it. It fails where no
// answer came.
func (c *Client) objectNamed(ctx context.Context, name string) (*objectType, error) {
	s := &c.queries
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	if o, ok := s.types[name]; ok {
		return o, nil
	}
	o, err := c.askObject(ctx, name)
	if errors.Is(err, errUnanswered) {
		return nil, err
	}
	if err != nil {
		c.log.DebugContext(ctx, "cloud type not learned", "type", name, "error", err)
	}
	s.types[name] = o
	return o, nil
}

func (c *Client) askObject(ctx context.Context, name string) (*objectType, error) {
	if !graphQLName.MatchString(name) {
		return nil, errors.New("introspect: the cloud shows a type without a name")
	}
	var answer struct {
		Type *struct{ Fields []introspectedField } `json:"__type"`
	}
	if err := c.read(ctx, "object", map[string]any{"name": name}, &answer); err != nil {
		return nil, err
	}
	if answer.Type == nil {
		return nil, fmt.Errorf("introspect: the cloud does not show its type %s", name)
	}
	o := &objectType{}
	for _, f := range answer.Type.Fields {
		if graphQLName.MatchString(f.Name) { // whatever a server says, it cannot end our query early
			o.fields = append(o.fields, f.object())
		}
	}
	return o, nil
}

// missingQueries asks again which queries there are and names those of the catalogue that the tenant lacks. Where the
// cloud does not say, nothing is known to be missing.
func (c *Client) missingQueries(ctx context.Context) []string {
	if c.queries.take(ctx) != nil {
		return nil
	}
	c.queries.askedAt = time.Time{}
	c.queries.give()
	roots, err := c.queryRoots(ctx)
	if err != nil || roots == nil {
		return nil
	}
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(c.readings)) {
		if name := c.readings[kind].root.name; roots[name].name == "" {
			list = append(list, "The cloud has no query "+name+", so that part of the catalogue stays empty.")
		}
	}
	if roots["giftcard"].name == "" {
		list = append(list, "The cloud has no query giftcard, so balances cannot be looked up, and doubt about a gift card waits for a person.")
	}
	return list
}

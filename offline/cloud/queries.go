package cloud

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// querySchema is what introspection told of the queries, in memory: it is asked for when a query is first used.
type querySchema struct {
	mu      sync.Mutex
	roots   map[string]objectField // nil where not known
	types   map[string]*objectType
	askedAt time.Time
}

// roots learns which queries there are, once a day or an hour after a failure. The result is nil where the cloud does
// not show its schema.
func (c *Client) queryRoots(ctx context.Context) map[string]objectField {
	s := &c.queries
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Since(s.askedAt)
	if !s.askedAt.IsZero() && age >= 0 && (age < schemaRetry || s.roots != nil && age < schemaFresh) {
		return s.roots
	}
	s.types = map[string]*objectType{}
	roots, err := c.askRoots(ctx)
	if ctx.Err() != nil {
		return s.roots
	}
	s.askedAt, s.roots = time.Now(), roots
	if err != nil {
		c.log.InfoContext(ctx, "cloud queries not learned, documented fields are asked for", "error", err)
	}
	return s.roots
}

// forgetQueries makes the next query ask for the schema again, but not more than once in an hour.
func (c *Client) forgetQueries() {
	c.queries.mu.Lock()
	defer c.queries.mu.Unlock()
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
		o.hard = o.hard || a.Type != nil && a.Type.Kind == "NON_NULL" && a.DefaultValue == nil
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

// objectNamed gives an object type, asking for it once; nil where the cloud does not show it.
func (c *Client) objectNamed(ctx context.Context, name string) *objectType {
	s := &c.queries
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.types[name]; ok {
		return o
	}
	o, err := c.askObject(ctx, name)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		c.log.DebugContext(ctx, "cloud type not learned", "type", name, "error", err)
	}
	s.types[name] = o
	return o
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

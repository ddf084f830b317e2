package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"storeagent/offline"
	"storeagent/offline/catalogue"
)

var _ catalogue.Source = (*Client)(nil)

// Bounds of an on-demand query.
const (
	fetchPage = 500
	fetchRows = 5000 // a register has no use for more; narrower filters do
)

// catalogueDocuments are the documents of the catalogue's queries, by the kind.
func catalogueDocuments() map[string]string {
	docs := map[string]string{}
	for _, f := range catalogue.Feeds() {
		docs[string(f)] = string(f)
	}
	for _, k := range catalogue.Kinds() {
		docs[k] = k
	}
	docs["environment"] = "tenant" // environment.graphql is the probe
	return docs
}

// parseReadings takes the catalogue's documents apart.
func parseReadings(docs map[string]document) (map[string]readingQuery, error) {
	readings := map[string]readingQuery{}
	for kind, name := range catalogueDocuments() {
		q, err := parseReading(docs[name].text)
		if err != nil {
			return nil, fmt.Errorf("%s.graphql: %w", name, err)
		}
		readings[kind] = q
	}
	return readings, nil
}

// Page implements catalogue.Source.
func (c *Client) Page(ctx context.Context, q catalogue.Query) (catalogue.Page, error) {
	values := map[string]string{"first": strconv.Itoa(q.First), "skip": strconv.Itoa(q.Skip), "since": quoted(q.Since)}
	raw, err := c.readPage(ctx, string(q.Feed), values)
	if err != nil {
		return catalogue.Page{}, err
	}
	page, err := decodePage(q.Feed, raw)
	if err != nil {
		return catalogue.Page{}, fmt.Errorf("read %s: %w", q.Feed, err)
	}
	if page.Limited && len(page.Keys) == 0 && q.Skip == 0 && q.Since == "" {
		return catalogue.Page{}, fmt.Errorf("read %s: %w", q.Feed, catalogue.ErrNotAllowed)
	}
	return page, nil
}

// Fetch implements catalogue.Source.
func (c *Client) Fetch(ctx context.Context, kind string, f catalogue.Filter) (json.RawMessage, error) {
	rows := []json.RawMessage{}
	for len(rows) < fetchRows {
		values := map[string]string{"first": strconv.Itoa(fetchPage), "skip": strconv.Itoa(len(rows))}
		for name, value := range f {
			values[name] = quoted(value)
		}
		raw, err := c.readPage(ctx, kind, values)
		if err != nil {
			return nil, err
		}
		p, err := splitPage(raw)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", kind, err)
		}
		if p.limited && len(p.rows) == 0 && len(rows) == 0 {
			return nil, fmt.Errorf("read %s: %w", kind, catalogue.ErrNotAllowed)
		}
		rows = append(rows, p.rows...)
		if !p.more || len(p.rows) == 0 {
			break
		}
	}
	return json.Marshal(rows)
}

func quoted(text string) string {
	var b strings.Builder
	writeString(&b, text)
	return b.String()
}

// readPage asks one query and gives what stands at its field.
func (c *Client) readPage(ctx context.Context, kind string, values map[string]string) (json.RawMessage, error) {
	q, ok := c.readings[kind]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", kind, catalogue.ErrKind)
	}
	var root *objectField
	roots, err := c.queryRoots(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	if roots != nil {
		r, ok := roots[q.root.name]
		if !ok {
			return nil, fmt.Errorf("read %s: %w", kind, catalogue.ErrUnsupported)
		}
		root = &r
	}
	var lost error
	asked, err := q.fit(root, values, func(name string) *objectType {
		o, err := c.objectNamed(ctx, name)
		lost = errors.Join(lost, err)
		return o
	})
	if lost != nil {
		return nil, fmt.Errorf("read %s: %w", kind, lost)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", kind, catalogue.ErrUnsupported, err)
	}
	var kept answer
	v := c.exchange(ctx, request{document: asked.text, name: q.name}, func(a answer) offline.Verdict {
		kept = a
		return judgeQuery(a, q.root.name)
	})
	if err := c.readError(v, kept); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	value, state := resultAt(kept.data, q.root.name)
	if state != present {
		return nil, fmt.Errorf("read %s: the cloud answered with nothing", kind)
	}
	return value, nil
}

// readError says what kept a query from its answer.
func (c *Client) readError(v offline.Verdict, a answer) error {
	if v.Class == offline.ClassDelivered {
		return nil
	}
	fault := "no answer"
	if v.Fault != nil {
		fault = v.Fault.Code + ": " + v.Fault.Message
	}
	for _, e := range a.errors {
		if codeOf(e) == codeNotAuthorized { // perhaps at a field below ours
			v.Class = offline.ClassBlocked
		}
	}
	switch v.Class {
	case offline.ClassSignedOut:
		return fmt.Errorf("%w: %s", offline.ErrSignedOut, fault)
	case offline.ClassBlocked:
		return fmt.Errorf("%w: %s", catalogue.ErrNotAllowed, fault)
	case offline.ClassUnsupported:
		c.forgetQueries()
		return fmt.Errorf("%w: %s", catalogue.ErrUnsupported, fault)
	}
	return errors.New(fault)
}

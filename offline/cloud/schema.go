package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	schemaFile   = "cloud-schema.json"
	schemaFresh  = 24 * time.Hour // learned names are asked for again after that
	schemaRetry  = time.Hour      // after a failed try
	clockBackLag = time.Minute    // a file from further ahead was written by a wrong clock
)

// Schema is what introspection told about the operations this agent uses.
type Schema struct {
	Endpoint   string               `json:"endpoint"`
	LearnedAt  time.Time            `json:"learnedAt"`
	Operations map[string]Operation `json:"operations"` // by mutation; one that the tenant lacks is not there
}

// Operation is one mutation as the tenant has it.
type Operation struct {
	Argument string  `json:"argument"` // "" where it has no argument of the documented name
	Type     string  `json:"type"`     // of the argument, as a variable declares it
	Fields   []Field `json:"fields"`   // of the argument
	Lines    []Field `json:"lines"`    // of the objects in its list, where it has one
	HasID    bool    `json:"hasId"`    // its result has an id

	Args   []Field  `json:"args,omitempty"`   // all of them, where the argument's name is not documented
	Result []string `json:"result,omitempty"` // fields of its result
}

// Field is one member of an input type.
type Field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
}

// schemaStore keeps the learned names in memory and on disk.
type schemaStore struct {
	file string // "" for memory only
	log  *slog.Logger

	mu       sync.Mutex
	endpoint string
	schema   *Schema         // nil before anything was learned
	doubted  map[string]bool // mutations whose name failed since
	triedAt  time.Time
	busy     bool
}

// openSchemaStore reads the file where there is one for this endpoint. A file that cannot be read is no harm: the
// names are learned again.
func openSchemaStore(dir, endpoint string, log *slog.Logger) *schemaStore {
	s := &schemaStore{endpoint: endpoint, log: log, doubted: map[string]bool{}}
	if dir == "" {
		return s
	}
	s.file = filepath.Join(dir, schemaFile)
	raw, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return s
	}
	var known Schema
	if err == nil {
		err = json.Unmarshal(raw, &known)
	}
	if err != nil {
		log.Warn("learned cloud schema is not readable and will be learned again", "file", s.file, "error", err)
		return s
	}
	if known.Endpoint == endpoint {
		s.schema = &known
	}
	return s
}

// typeOf returns the type that a variable for the operation declares, "" where it is not known.
func (s *schemaStore) typeOf(sp spec) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema == nil || s.doubted[sp.field] {
		return ""
	}
	op := s.schema.Operations[sp.field]
	if op.Argument != sp.arg || !typeName.MatchString(op.Type) {
		return ""
	}
	return op.Type
}

// operation gives what is known of a mutation, false where nothing is, or it failed since.
func (s *schemaStore) operation(field string) (Operation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema == nil || s.doubted[field] {
		return Operation{}, false
	}
	op, ok := s.schema.Operations[field]
	return op, ok
}

// lacks tells whether the tenant is known to have no such mutation.
func (s *schemaStore) lacks(field string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema == nil {
		return false
	}
	_, ok := s.schema.Operations[field]
	return !ok
}

// typeName is what may get into a document: whatever a server or a file says, it cannot end the head early.
var typeName = regexp.MustCompile(`^\[*[_A-Za-z][_0-9A-Za-z]*[\]!]*$`)

// forget stops using the learned name until it was asked for again.
func (s *schemaStore) forget(field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted[field] = true
}

// due tells whether it is time to ask; it does so for one caller at a time, who must end by learned or failed.
func (s *schemaStore) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy || !s.triedAt.IsZero() && now.Sub(s.triedAt) < schemaRetry {
		return false
	}
	if s.schema != nil && len(s.doubted) == 0 {
		age := now.Sub(s.schema.LearnedAt)
		if age < schemaFresh && age > -clockBackLag {
			return false
		}
	}
	s.busy, s.triedAt = true, now
	return true
}

func (s *schemaStore) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// learned takes over and writes the file. Where the disk refuses, the names are good until the next start.
func (s *schemaStore) learned(schema *Schema) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.triedAt = false, schema.LearnedAt
	schema.Endpoint = s.endpoint
	s.schema = schema
	clear(s.doubted)
	if s.file == "" {
		return nil
	}
	raw, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return fmt.Errorf("write learned schema: %w", err)
	}
	return writeAtomic(s.file, append(raw, '\n'))
}

// writeAtomic leaves either the old file or the new one, whatever happens.
func writeAtomic(file string, raw []byte) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write learned schema: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".cloud-schema-*")
	if err != nil {
		return fmt.Errorf("write learned schema: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write learned schema: %w", errors.Join(err, os.Remove(tmp.Name())))
		}
	}()
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// Schema returns what was learned, nil before that.
func (c *Client) Schema() *Schema {
	c.names.mu.Lock()
	defer c.names.mu.Unlock()
	if c.names.schema == nil {
		return nil
	}
	known := *c.names.schema
	return &known
}

// SchemaProblems names what the tenant's schema lacks of what purchaseAdd needs, one sentence each. It is empty where
// nothing is missing, and before anything was learned (then Schema is nil).
func (c *Client) SchemaProblems() []string {
	known := c.Schema()
	if known == nil {
		return nil
	}
	sp := purchaseAdd()
	op, ok := known.Operations[sp.field]
	if !ok {
		return []string{"The cloud has no mutation purchaseAdd. Ask the vendor to enable purchases for this tenant, or for the account the permission AddPurchase."}
	}
	if op.Argument == "" {
		return []string{"The cloud's purchaseAdd has no argument add."}
	}
	list := compare("add", sp.fields, op.Fields)
	if len(op.Lines) > 0 {
		list = append(list, compare("add."+sp.lines, sp.line, op.Lines)...)
	}
	if !op.HasID {
		list = append(list, "The cloud's purchaseAdd answers without an id, so that no delivery could be confirmed.")
	}
	return list
}

// CheckSchema asks the cloud for its schema now, keeps what it learned, and returns SchemaProblems with what gift cards
// and the catalogue lack. It fails where the cloud cannot be asked or shows no schema; what was learned before then stays.
func (c *Client) CheckSchema(ctx context.Context) ([]string, error) {
	schema, err := c.introspect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.names.learned(schema); err != nil {
		return nil, err
	}
	return slices.Concat(c.SchemaProblems(), cardProblems(schema), c.missingQueries(ctx)), nil
}

// compare names the documented members that are missing and the demanded ones that nobody documented.
func compare(where string, documented []string, has []Field) []string {
	var list []string
	for _, name := range documented {
		if !slices.ContainsFunc(has, func(f Field) bool { return f.Name == name }) {
			list = append(list, "The cloud does not know the field "+where+"."+name+".")
		}
	}
	for _, f := range has {
		if f.Required && !slices.Contains(documented, f.Name) {
			list = append(list, "The cloud demands the field "+where+"."+f.Name+" ("+f.Type+"), which the agent does not send.")
		}
	}
	return list
}

// typeRef is a type as introspection writes it.
type typeRef struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	OfType *typeRef `json:"ofType"`
}

// String writes the type as a document does.
func (t *typeRef) String() string {
	switch {
	case t == nil:
		return ""
	case t.Kind == "NON_NULL":
		return t.OfType.String() + "!"
	case t.Kind == "LIST":
		return "[" + t.OfType.String() + "]"
	}
	return t.Name
}

// base is the name within lists and non-nulls.
func (t *typeRef) base() string {
	for t != nil && t.OfType != nil {
		t = t.OfType
	}
	if t == nil {
		return ""
	}
	return t.Name
}

type introspectedType struct {
	Fields      []struct{ Name string }
	InputFields []struct {
		Name         string
		DefaultValue *string
		Type         *typeRef
	}
}

// learn asks for the names and keeps them. It never fails its caller: without names, operations go as literals.
func (c *Client) learn(ctx context.Context) {
	schema, err := c.introspect(ctx)
	if err != nil {
		c.names.failed()
		c.log.InfoContext(ctx, "cloud schema not learned, operations go as literals", "error", err)
		return
	}
	if err := c.names.learned(schema); err != nil {
		c.log.WarnContext(ctx, "learned cloud schema not kept", "error", err)
		return
	}
	c.log.InfoContext(ctx, "cloud schema learned", "operations", len(schema.Operations), "problems", len(c.SchemaProblems()))
}

func (c *Client) introspect(ctx context.Context) (*Schema, error) {
	var root struct {
		Schema *struct {
			MutationType *struct {
				Fields []struct {
					Name string
					Type *typeRef
					Args []struct {
						Name string
						Type *typeRef
					}
				}
			}
		} `json:"__schema"`
	}
	if err := c.read(ctx, "schema", nil, &root); err != nil {
		return nil, err
	}
	if root.Schema == nil {
		return nil, errors.New("introspect: the cloud shows no schema")
	}
	schema := &Schema{LearnedAt: time.Now().UTC(), Operations: map[string]Operation{}}
	if root.Schema.MutationType == nil {
		return schema, nil
	}
	for _, sp := range specs() {
		for _, f := range root.Schema.MutationType.Fields {
			if f.Name != sp.field {
				continue
			}
			var op Operation
			for _, a := range f.Args {
				if sp.anyArg {
					op.Args = append(op.Args, Field{Name: a.Name, Type: a.Type.String(), Required: a.Type != nil && a.Type.Kind == "NON_NULL"})
				}
				if a.Name != sp.arg && (!sp.anyArg || len(f.Args) != 1) {
					continue
				}
				described := Operation{Argument: a.Name, Type: a.Type.String()}
				if err := c.describe(ctx, sp, a.Type.base(), &described); err != nil {
					return nil, err
				}
				if len(described.Fields) > 0 || !sp.anyArg { // otherwise the arguments are the members themselves
					op.Argument, op.Type, op.Fields, op.Lines = described.Argument, described.Type, described.Fields, described.Lines
				}
			}
			result, err := c.typeNamed(ctx, f.Type.base())
			if err != nil {
				return nil, err
			}
			for _, field := range result.Fields {
				op.Result = append(op.Result, field.Name)
			}
			op.HasID = slices.Contains(op.Result, "id")
			schema.Operations[sp.field] = op
		}
	}
	return schema, nil
}

// describe fills in the members of the argument and of its lines.
func (c *Client) describe(ctx context.Context, sp spec, name string, op *Operation) error {
	arg, err := c.typeNamed(ctx, name)
	if err != nil {
		return err
	}
	op.Fields = fieldsOf(arg)
	for _, f := range arg.InputFields {
		if sp.lines != "" && f.Name == sp.lines {
			line, err := c.typeNamed(ctx, f.Type.base())
			if err != nil {
				return err
			}
			op.Lines = fieldsOf(line)
		}
	}
	return nil
}

func fieldsOf(t introspectedType) []Field {
	list := make([]Field, 0, len(t.InputFields))
	for _, f := range t.InputFields {
		required := f.Type != nil && f.Type.Kind == "NON_NULL" && f.DefaultValue == nil
		list = append(list, Field{Name: f.Name, Type: f.Type.String(), Required: required})
	}
	return list
}

func (c *Client) typeNamed(ctx context.Context, name string) (introspectedType, error) {
	var answer struct {
		Type *introspectedType `json:"__type"`
	}
	if !graphQLName.MatchString(name) {
		return introspectedType{}, errors.New("introspect: the cloud shows a type without a name")
	}
	if err := c.read(ctx, "type", map[string]any{"name": name}, &answer); err != nil {
		return introspectedType{}, err
	}
	if answer.Type == nil {
		return introspectedType{}, fmt.Errorf("introspect: the cloud does not show its type %s", name)
	}
	return *answer.Type, nil
}

// errUnanswered tells that the cloud did not say whether it shows its schema.
var errUnanswered = errors.New("no answer")

// read asks a query and decodes its data. Errors: errUnanswered, others where the cloud refused.
func (c *Client) read(ctx context.Context, doc string, variables map[string]any, into any) error {
	token, err := c.tokens.AccessToken(ctx)
	if err != nil {
		return fmt.Errorf("introspect: %w: %w", errUnanswered, err)
	}
	a := c.ask(ctx, request{document: c.docs[doc].text, name: c.docs[doc].name, variables: variables}, token)
	switch {
	case a.broken != nil:
		return fmt.Errorf("introspect: %w: %s", errUnanswered, clean(a.broken.Error(), a.secrets))
	case len(a.errors) > 0 && faultOf(a).Code == codeNotAuthenticated:
		return fmt.Errorf("introspect: %w: %s", errUnanswered, faultOf(a).Message)
	case len(a.errors) > 0:
		return fmt.Errorf("introspect: %s", faultOf(a).Message)
	}
	if err := json.Unmarshal(a.data, into); err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	return nil
}

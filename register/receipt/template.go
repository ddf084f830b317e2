package receipt

import (
	_ "embed" // builtin.tmpl
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"storeagent/devices/printer/receiptline"
)

// The layout of a store that has none of its own.
//
//go:embed builtin.tmpl
var builtinText string

const builtinName = "builtin.tmpl"

// BuiltinTemplate is the layout that is used without a template, to begin one's own with.
func BuiltinTemplate() string { return builtinText }

// Bounds of one run of a template.
const (
	maxOutput = 2 << 20 // bytes
	maxSteps  = 500_000 // nodes that were run
)

// layout is a template that was read.
type layout struct {
	name string
	t    *template.Template
}

// compile reads a template. Errors are *OptionError.
func (f *Form) compile(name, text string) (*layout, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(f.functions()).Parse(text)
	if err != nil {
		return nil, templateError(name, err)
	}
	for _, part := range t.Templates() {
		if part.Tree != nil {
			mark(part.Tree, part.Root)
		}
	}
	return &layout{name, t}, nil
}

// marker is what stands before every node of a marked template: it ends with the number of its line. No text of a sale
// holds it.
const marker = "\x00"

// mark puts a marker before every node of a list, and so counts what runs and knows which line of the template wrote a
// line of the receipt.
func mark(tree *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	var nodes []parse.Node
	for _, node := range list.Nodes {
		nodes = append(nodes, markerOf(tree, node), node)
		switch n := node.(type) {
		case *parse.IfNode:
			mark(tree, n.List)
			mark(tree, n.ElseList)
		case *parse.WithNode:
			mark(tree, n.List)
			mark(tree, n.ElseList)
		case *parse.RangeNode:
			mark(tree, n.List)
			n.List.Nodes = append([]parse.Node{markerOf(tree, node)}, n.List.Nodes...) // an empty body counts too
			mark(tree, n.ElseList)
		}
	}
	list.Nodes = nodes
}

func markerOf(tree *parse.Tree, node parse.Node) parse.Node {
	location, _ := tree.ErrorContext(node) // name:line:column
	line := "0"
	if parts := strings.Split(location, ":"); len(parts) >= 2 {
		line = parts[len(parts)-2]
	}
	return &parse.TextNode{NodeType: parse.NodeText, Pos: node.Position(), Text: []byte(marker + line + marker)}
}

// output takes what a template writes, without its markers, and notes where each line began.
type output struct {
	b     strings.Builder
	steps int
	at    int   // line of the template
	lines []int // of each line of the text, 0 for none yet
}

var errEndless = errors.New("writes more than a receipt can be, or does not come to an end")

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	text := string(p)
	if strings.HasPrefix(text, marker) && strings.HasSuffix(text, marker) && len(text) > 2 {
		if line, err := strconv.Atoi(strings.Trim(text, marker)); err == nil {
			o.at = line
			if o.steps++; o.steps > maxSteps {
				return 0, errEndless
			}
			return len(p), nil
		}
	}
	text = strings.ReplaceAll(text, marker, "")
	if o.b.Len()+len(text) > maxOutput {
		return 0, errEndless
	}
	for i, part := range strings.SplitAfter(text, "\n") {
		if n := len(o.lines); part != "" && (n == 0 || strings.HasSuffix(o.b.String()[max(o.b.Len()-1, 0):], "\n")) {
			o.lines = append(o.lines, o.at+i)
		}
		o.b.WriteString(part)
	}
	return len(p), nil
}

// run gives the ReceiptLine text of a sale, and the line of the template that each of its lines began with.
func (l *layout) run(data *Data) (string, []int, error) {
	o := &output{}
	if err := l.t.Execute(o, data); err != nil {
		if errors.Is(err, errEndless) {
			return "", nil, &OptionError{Option: "template", Line: o.at, Message: errEndless.Error()}
		}
		return "", nil, templateError(l.name, err)
	}
	return o.b.String(), o.lines, nil
}

// blame turns an error of the ReceiptLine text into one of the template.
func (l *layout) blame(err error, lines []int) error {
	var bad *receiptline.Error
	if !errors.As(err, &bad) {
		return &OptionError{Option: "template", Message: "makes a receipt that cannot be printed: " + err.Error()}
	}
	line := 0
	if bad.Line-1 < len(lines) {
		line = lines[bad.Line-1]
	}
	return &OptionError{Option: "template", Line: line, Message: "makes a line that cannot be printed: it " + bad.Message}
}

// templateError takes the line out of an error of text/template: "template: NAME:LINE[:COLUMN]: what".
func templateError(name string, err error) error {
	message := strings.TrimPrefix(err.Error(), "template: ")
	line := 0
	if rest, ok := strings.CutPrefix(message, name+":"); ok {
		number, after, _ := strings.Cut(rest, ":")
		if n, convErr := strconv.Atoi(number); convErr == nil {
			line, message = n, after
			if column, after, ok := strings.Cut(message, ": "); ok {
				if _, convErr := strconv.Atoi(column); convErr == nil {
					message = after
				}
			}
		}
	}
	message = strings.TrimSpace(message)
	if rest, ok := strings.CutPrefix(message, "executing "); ok { // "executing "name" at <.Field>: why"
		if _, why, found := strings.Cut(rest, ">: "); found {
			message = why
		}
	}
	return &OptionError{Option: "template", Line: line, Message: message, Hint: "docs/receipt.md lists fields and functions"}
}

// wordKey is how the words are named.
var wordKey = regexp.MustCompile(`^[a-z_]{1,20}$`)

// functions are what templates can call beside those of text/template.
func (f *Form) functions() template.FuncMap {
	return template.FuncMap{
		"word": func(key string) (Text, error) {
			word, ok := f.locale.words[key]
			if !ok && wordKey.MatchString(key) {
				return "", fmt.Errorf("there is no word %q", key)
			} else if !ok { // it may be of the sale, which stays out of logs
				return "", errors.New("there is no such word")
			}
			return Text(word), nil
		},
		"upper": func(t any) Text { return Text(f.locale.upper(textOf(t))) },
		"amount": func(n *Number) Text {
			if n == nil {
				return ""
			}
			return Text(f.locale.number(n.value, decimals(n.currency)))
		},
		"money": func(n *Number) Text {
			if n == nil {
				return ""
			}
			return Text(f.locale.sum(n.value, n.currency))
		},
		"qty": func(n *Number) Text {
			if n == nil {
				return ""
			}
			return Text(f.locale.number(n.value.Trim(0), 0))
		},
		"date": func(m *Moment) Text {
			if m == nil {
				return ""
			}
			return m.show(f.locale.date)
		},
		"time": func(m *Moment) Text {
			if m == nil {
				return ""
			}
			return m.clock(f.locale.time)
		},
		"mask": func(t any) Text {
			r := []rune(textOf(t))
			hidden := max(len(r)-4, 0)
			return Text(strings.Repeat("*", hidden) + string(r[hidden:]))
		},
	}
}

// textOf is the text that a template gives to a function, without escapes.
func textOf(v any) string {
	if t, ok := v.(Text); ok {
		return string(t)
	}
	return fmt.Sprint(v)
}

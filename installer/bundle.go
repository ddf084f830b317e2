package installer

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/internal/logfile"
	"storeagent/internal/redact"
	"storeagent/offline"
	"storeagent/offline/sqlite"
	"storeagent/register/wire"
)

// LogName is the log in the data folder; the older part has logfile.Older behind it.
const LogName = "storeagent.log"

// BundleAgent is what a bundle asks of the running agent.
type BundleAgent interface {
	Status(ctx context.Context) (wire.Status, error)
	Queue(ctx context.Context) (offline.QueueStatus, error)
	Devices(ctx context.Context) ([]devices.Info, error)
	Metrics(ctx context.Context) (string, error)
	CheckSchema(ctx context.Context) (wire.SchemaCheck, error)
}

// BundleOptions say where the facts of a bundle come from.
type BundleOptions struct {
	Check   Options // for its report; Fix is not looked at
	Version string  // of this program
	// Agent finds the running agent, as Options.Connect does.
	Agent func(ctx context.Context, cfg *config.Config) (BundleAgent, error)
	// Token is the technician's token of this machine, "" where there is none.
	Token  func(cfg *config.Config) string
	Getenv func(string) string
}

// Bundle is what support needs to see of an installation, without secrets: texts by file name.
type Bundle struct {
	At      time.Time
	Store   string // store and register of the configuration, "" where it cannot be read
	Agent   bool   // whether the running agent answered
	Missing []string

	files []bundleFile
	clean *redact.Redactor
}

type bundleFile struct{ name, text string }

// Limits of a bundle, so that a slow part does not hold up the rest.
const (
	bundleLimit  = 20 * time.Second // for each part
	referenceMax = 64 << 10         // bytes read of a file with a secret
	logMax       = 4 << 20          // bytes of each log, its newest
)

// MakeBundle gathers everything that can be had. It never fails: what cannot be had is named in Missing, and in the
// archive. Every text passes a redactor that knows this machine's own secrets.
func MakeBundle(ctx context.Context, o BundleOptions) *Bundle {
	b := &Bundle{At: time.Now()}
	raw, err := os.ReadFile(o.Check.ConfigPath)
	cfg, bad := config.Load(o.Check.ConfigPath, o.Check.Drivers)
	b.clean = redact.New(secretsOf(raw, cfg, o), prefixesOf(cfg))
	if err != nil {
		b.missing("config.toml", err)
	} else {
		shown, _ := config.Shown(raw)
		b.add("config.toml", shown)
	}
	if bad != nil {
		b.add("config-problems.txt", bad.Error()+"\n")
	}
	b.system(ctx)
	b.plugged(ctx, o.Check)
	b.checks(ctx, o.Check)
	if cfg != nil {
		b.Store = cfg.Store.Code + "-" + cfg.Store.Register
		b.running(ctx, cfg, o)
		b.folder(ctx, cfg.Data.Dir)
	} else {
		b.missing("status, queue, database and log", errors.New("the configuration is not right, so the data folder is not known"))
	}
	b.readme(o.Version)
	return b
}

// secretsOf are the texts that must not stand in the archive: what the configuration refers to, and the token of the
// technician. What cannot be read cannot be searched for; the redactor's other rules stay.
func secretsOf(raw []byte, cfg *config.Config, o BundleOptions) []string {
	var list []string
	_, refs := config.Shown(raw)
	for _, ref := range refs {
		if path, ok := strings.CutPrefix(ref.String(), "file:"); ok {
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > referenceMax {
				continue
			}
		}
		if v, err := ref.Resolve(o.Getenv); err == nil {
			list = append(list, v)
			list = append(list, strings.Fields(v)...)
		}
	}
	if cfg != nil {
		list = append(list, o.Token(cfg))
	}
	return list
}

func prefixesOf(cfg *config.Config) []string {
	if cfg == nil {
		return nil
	}
	return cfg.Giftcard.Prefixes
}

func (b *Bundle) add(name, text string) {
	b.files = append(b.files, bundleFile{name, b.clean.Text(text)})
}

func (b *Bundle) missing(what string, err error) {
	b.Missing = append(b.Missing, b.clean.Text(what+": "+err.Error()))
}

func (b *Bundle) addJSON(name string, v any) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		b.missing(name, err)
		return
	}
	b.add(name, text.String())
}

// lines adds rows as one line of JSON each.
func (b *Bundle) lines(name string, rows []sqlite.Row) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	for _, row := range rows {
		if err := enc.Encode(row); err != nil {
			b.missing(name, err)
			return
		}
	}
	b.add(name, text.String())
}

// plugged lists what is plugged in.
func (b *Bundle) plugged(ctx context.Context, o Options) {
	if o.Plugged == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	found, err := o.Plugged(ctx)
	if err != nil {
		b.missing("plugged-in.json", err)
		return
	}
	b.addJSON("plugged-in.json", found)
}

// checks adds the report of check, which opens the devices where no agent runs.
func (b *Bundle) checks(ctx context.Context, o Options) {
	o.Fix = false
	r := Check(ctx, o)
	b.Agent = r.Agent
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		b.missing("check.txt", err)
	}
	b.add("check.txt", text.String())
	b.addJSON("check.json", r)
}

// running asks the agent.
func (b *Bundle) running(ctx context.Context, cfg *config.Config, o BundleOptions) {
	agent, err := o.Agent(ctx, cfg)
	if err != nil {
		b.missing("status, queue, devices, metrics and schema check", err)
		return
	}
	b.Agent = true
	askAgent(ctx, b, "status.json", agent.Status, b.addJSON)
	askAgent(ctx, b, "queue.json", agent.Queue, b.addJSON)
	askAgent(ctx, b, "devices.json", agent.Devices, b.addJSON)
	askAgent(ctx, b, "metrics.txt", agent.Metrics, func(name string, v any) { b.add(name, v.(string)) })
	askAgent(ctx, b, "schema.json", agent.CheckSchema, b.addJSON)
}

// askAgent adds one answer of the agent.
func askAgent[T any](ctx context.Context, b *Bundle, name string, call func(context.Context) (T, error), add func(string, any)) {
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	v, err := call(ctx)
	if err != nil {
		b.missing(name, err)
		return
	}
	add(name, v)
}

// folder reads the data folder: what is in it, the log, the database.
func (b *Bundle) folder(ctx context.Context, dir string) {
	if text, err := tree(dir); err != nil {
		b.missing("data-folder.txt", err)
	} else {
		b.add("data-folder.txt", text)
	}
	for _, name := range []string{LogName + logfile.Older, LogName} {
		text, err := tail(filepath.Join(dir, name))
		switch {
		case err == nil:
			b.add("log/"+name, text)
		case !errors.Is(err, fs.ErrNotExist) || name == LogName:
			b.missing("log/"+name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	look, err := sqlite.LookInto(ctx, dir)
	if err != nil {
		b.missing("database", err)
		return
	}
	b.addJSON("database/database.json", look)
	for _, name := range slices.Sorted(maps.Keys(look.Listings)) {
		rows := look.Listings[name]
		for _, row := range rows {
			if data, ok := row["data"].(json.RawMessage); ok {
				row["data"] = harmless(data)
			}
		}
		b.lines("database/"+name+".ndjson", rows)
	}
}

// tree lists a folder with modes, owners and sizes, two levels deep.
func tree(dir string) (string, error) {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == dir {
				return err
			}
			fmt.Fprintf(&out, "%s: %v\n", path, err)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		fmt.Fprintf(&out, "%s %-12s %12d %s %s\n", info.Mode(), owner(info), info.Size(), info.ModTime().UTC().Format(time.RFC3339), path)
		if rel, err := filepath.Rel(dir, path); err == nil && d.IsDir() && strings.Count(rel, string(filepath.Separator)) > 0 {
			return fs.SkipDir
		}
		return nil
	})
	return out.String(), err
}

// tail reads the newest part of a file, from the start of a line.
func tail(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	cut := info.Size() - logMax
	text, err := io.ReadAll(io.NewSectionReader(f, max(cut, 0), logMax))
	if err != nil {
		return "", err
	}
	if cut > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return strings.ToValidUTF8(string(text), "?"), nil
}

// readme says what is in the archive, and what is not.
func (b *Bundle) readme(version string) {
	var t strings.Builder
	fmt.Fprintf(&t, "Support bundle of storeagent %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&t, "Made %s. The agent %s.\n", b.At.Format(time.RFC3339), map[bool]string{true: "runs and was asked", false: "was not asked"}[b.Agent])
	t.WriteString("\nLeft out: card data, gift card codes, PINs, passwords, tokens and keys, posted sales, receipts, customers.\n" +
		"Where something of that kind stood, \"" + redact.Removed + "\" stands now. References to secrets (file:, env:) stay.\n\nIn it:\n")
	for _, f := range b.files {
		fmt.Fprintf(&t, "  %-36s %s\n", f.name, about(f.name))
	}
	if len(b.Missing) > 0 {
		t.WriteString("\nCould not be had:\n")
		for _, m := range b.Missing {
			fmt.Fprintf(&t, "  %s\n", strings.ReplaceAll(m, "\n", "\n    "))
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		t.WriteString("\nBuilt from:\n")
		for _, s := range info.Settings {
			fmt.Fprintf(&t, "  %s=%s\n", s.Key, s.Value)
		}
		for _, m := range info.Deps {
			fmt.Fprintf(&t, "  %s %s\n", m.Path, m.Version)
		}
	}
	b.files = append([]bundleFile{{"README.txt", b.clean.Text(t.String())}}, b.files...)
}

// about says in a word what a file of the archive is.
func about(name string) string {
	switch strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)) {
	case "config":
		return "the configuration, without comments and secrets"
	case "config-problems":
		return "what is wrong with the configuration"
	case "check":
		return "what storeagent check says"
	case "status", "queue", "devices", "metrics":
		return "what the running agent says"
	case "schema":
		return "how the cloud's schema differs from what is needed"
	case "plugged-in":
		return "what is plugged into this machine"
	case "system":
		return "this machine, and who made this"
	case "nodes":
		return "device nodes with owners and modes, USB devices"
	case "journal":
		return "what systemd says of the service"
	case "data-folder":
		return "the files in the data folder"
	case "storeagent":
		return "the agent's log"
	case "database":
		return "version, health and row counts of the database"
	case "operations":
		return "what the cloud has not got"
	case "attempts":
		return "the latest attempts to deliver, and how they ended"
	case "events":
		return "the latest events, without what was scanned, printed or posted"
	case "audit":
		return "the latest decisions of people"
	case "findings":
		return "what starts found wrong with the files"
	case "moves":
		return "queues that went to another machine or came from one"
	}
	return "the latest ones: ids, states, times, amounts"
}

// Write writes the archive.
func (b *Bundle) Write(w io.Writer) error {
	z := zip.NewWriter(w)
	for _, f := range b.files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: b.At}
		h.SetMode(0o600)
		out, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(out, f.text)
		}
		if err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// Files is how many files are in it.
func (b *Bundle) Files() int { return len(b.files) }

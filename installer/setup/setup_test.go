package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/installer/config"
)

// image is a machine in a folder: users are lines in its files, and owners are what chown said last.
type image struct {
	t      *testing.T
	root   string
	ran    []string
	owners []owner
	fail   string // a command that fails
	active bool
	out    strings.Builder
}

// owner is whom a file belongs to, by the file itself: its name changes.
type owner struct {
	file fs.FileInfo
	ids  [2]int
}

func (m *image) chown(path string, uid, gid int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	for i := range m.owners {
		if os.SameFile(m.owners[i].file, info) {
			m.owners[i].ids = [2]int{uid, gid}
			return nil
		}
	}
	m.owners = append(m.owners, owner{info, [2]int{uid, gid}})
	return nil
}

// ownerOf is root unless chown said otherwise.
func (m *image) ownerOf(info fs.FileInfo) [2]int {
	for _, o := range m.owners {
		if os.SameFile(o.file, info) {
			return o.ids
		}
	}
	return [2]int{}
}

func newImage(t *testing.T) *image {
	if runtime.GOOS != "linux" {
		t.Log("the steps are those of Linux; they run here on files alone")
	}
	m := &image{t: t, root: t.TempDir()}
	m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	m.write("/etc/group", "root:x:0:\nlp:x:7:\ndialout:x:20:somebody\ninput:x:104:\n")
	m.write("/image/storeagent", "the program")
	return m
}

func (m *image) write(path, text string) {
	m.t.Helper()
	real := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(real, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *image) read(path string) string {
	b, err := os.ReadFile(filepath.Join(m.root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// run stands for the commands.
func (m *image) run(_ context.Context, args []string) error {
	m.ran = append(m.ran, strings.Join(args, " "))
	if m.fail != "" && args[0] == m.fail {
		return errors.New("it fails")
	}
	switch args[0] {
	case "useradd":
		m.write("/etc/passwd", m.read("/etc/passwd")+"storeagent:x:998:997::/var/lib/storeagent:/usr/sbin/nologin\n")
		m.write("/etc/group", m.read("/etc/group")+"storeagent:x:997:\n")
	case "usermod":
		text := m.read("/etc/group")
		for g := range strings.SplitSeq(args[slices.Index(args, "--groups")+1], ",") {
			text = regexp.MustCompile(`(?m)^(`+g+`:x:\d+:)(.*)$`).ReplaceAllStringFunc(text, func(line string) string {
				return strings.TrimSuffix(line, ":") + map[bool]string{true: ":storeagent", false: ",storeagent"}[strings.HasSuffix(line, ":")]
			})
		}
		m.write("/etc/group", text)
	case "userdel":
		m.write("/etc/passwd", regexp.MustCompile(`(?m)^storeagent:.*\n`).ReplaceAllString(m.read("/etc/passwd"), ""))
		m.write("/etc/group", regexp.MustCompile(`(?m)^storeagent:.*\n`).ReplaceAllString(m.read("/etc/group"), ""))
	case "systemctl":
		switch args[1] {
		case "is-active":
			if !m.active {
				return errors.New("inactive")
			}
		case "start", "restart":
			m.active = true
		case "stop":
			m.active = false
		}
	}
	return nil
}

// options set the image up.
func (m *image) options(cfg *config.Config) Options {
	m.out.Reset()
	return Options{
		Root: m.root, ConfigPath: "/etc/storeagent/storeagent.toml", Config: cfg, Program: filepath.Join(m.root, "image", "storeagent"), Out: &m.out,
		machine: machine{
			run:   m.run,
			chown: m.chown,
			owned: func(info fs.FileInfo, uid, gid int) bool { return m.ownerOf(info) == [2]int{uid, gid} },
			admin: func() bool { return true }, booted: func() bool { return true },
		},
	}
}

func shop(t *testing.T) *config.Config {
	t.Helper()
	parse := func(text string) port.Address {
		a, err := port.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	return &config.Config{
		Data: config.Data{Dir: "/var/lib/storeagent"}, Server: config.Server{AllowedOrigins: []string{"https://register.example.com"}},
		Devices: []config.Device{
			{Name: "card", Category: devices.PaymentTerminal, Port: parse("serial:/dev/serial/by-id/usb-X-if00")},
			{Name: "hand", Category: devices.Scanner, Port: parse("hidraw:ABCD:0001")},
			{Name: "kbd", Category: devices.Scanner, Port: parse("evdev:ABCD:0002")},
			{Name: "paper", Category: devices.POSPrinter, Port: parse("usb:ABCD:0003")},
			{Name: "net", Category: devices.POSPrinter, Port: parse("tcp:10.0.0.5:9100")},
		},
	}
}

// tree lists the files of the image with modes, owners and contents.
func (m *image) tree() string {
	m.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %s %s\n", info.Mode(), m.ownerOf(info), info.ModTime(), path)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

func TestInstallIntoAnImage(t *testing.T) {
	m := newImage(t)
	ctx := t.Context()

	// Shown, nothing done.
	o := m.options(nil)
	o.DryRun = true
	before := m.tree()
	r, err := Install(ctx, o)
	if err != nil || r.Started {
		t.Fatal(r, err)
	}
	if m.tree() != before || len(m.ran) > 0 {
		t.Errorf("a dry run changed something, or ran %v", m.ran)
	}
	for _, want := range []string{"would    run useradd --prefix", "| SUBSYSTEM==\"hidraw\"", "| ExecStart=/usr/local/bin/storeagent serve --config /etc/storeagent/storeagent.toml", "write /etc/storeagent/storeagent.toml (mode 0640), to be filled in"} {
		if !strings.Contains(m.out.String(), want) {
			t.Errorf("a dry run does not show %q:\n%s", want, m.out.String())
		}
	}
	shown := r.Steps

	// Done.
	r, err = Install(ctx, m.options(nil))
	if err != nil || r.Steps != shown || r.Started {
		t.Fatalf("%+v, %v; shown were %d steps", r, err, shown)
	}
	if want := []string{"useradd --prefix " + m.root + " --system --user-group --no-create-home --home-dir /var/lib/storeagent --shell /usr/sbin/nologin --comment store register agent storeagent",
		"usermod --prefix " + m.root + " --append --groups dialout,lp storeagent"}; !slices.Equal(m.ran, want) {
		t.Errorf("ran %q, want %q", m.ran, want)
	}
	for path, want := range map[string]struct {
		mode fs.FileMode
		own  [2]int
	}{
		"/usr/local/bin/storeagent":       {0o755, [2]int{0, 0}},
		"/etc/storeagent":                 {fs.ModeDir | 0o750, [2]int{0, 997}},
		"/etc/storeagent/storeagent.toml": {0o640, [2]int{0, 997}},
		"/var/lib/storeagent":             {fs.ModeDir | 0o700, [2]int{998, 997}},
		rulesPath:                         {0o644, [2]int{0, 0}},
		unitPath:                          {0o644, [2]int{0, 0}},
	} {
		info, err := os.Stat(filepath.Join(m.root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.ownerOf(info); info.Mode() != want.mode || got != want.own {
			t.Errorf("%s has %v of %v, want %v of %v", path, info.Mode(), got, want.mode, want.own)
		}
	}
	if link, err := os.Readlink(filepath.Join(m.root, unitLink)); err != nil || link != unitPath {
		t.Errorf("not enabled: %q, %v", link, err)
	}
}

// TestInstallTwice does nothing the second time, keeps the configuration, and brings what is older up to date.
func TestInstallTwice(t *testing.T) {
	m := newImage(t)
	ctx := t.Context()
	m.write("/etc/storeagent/storeagent.toml", "# mine\n")
	if _, err := Install(ctx, m.options(shop(t))); err != nil {
		t.Fatal(err)
	}
	if got := m.read("/etc/storeagent/storeagent.toml"); got != "# mine\n" {
		t.Errorf("the configuration is now %q", got)
	}
	before, ran := m.tree(), len(m.ran)
	r, err := Install(ctx, m.options(shop(t)))
	if err != nil || r.Steps != 0 {
		t.Errorf("a second run: %+v, %v\n%s", r, err, m.out.String())
	}
	if after := m.tree(); after != before || len(m.ran) != ran {
		t.Errorf("a second run changed\n%s\nto\n%s\nand ran %v", before, after, m.ran[ran:])
	}

	m.write("/image/storeagent", "a newer program")
	m.write(unitPath, "an older unit")
	if r, err = Install(ctx, m.options(shop(t))); err != nil || r.Steps != 2 {
		t.Errorf("an update: %+v, %v\n%s", r, err, m.out.String())
	}
	if m.read("/usr/local/bin/storeagent") != "a newer program" || !strings.Contains(m.read(unitPath), "ExecStart=") {
		t.Error("program or unit were not renewed")
	}

	// Without register pages there is no policy for browsers.
	if !strings.Contains(m.read(policyPaths()[0]), `"https://register.example.com"`) {
		t.Error("no policy for browsers")
	}
	cfg := shop(t)
	cfg.Server.AllowedOrigins = nil
	if r, err = Install(ctx, m.options(cfg)); err != nil || r.Steps != len(policyPaths()) {
		t.Errorf("without register pages: %+v, %v\n%s", r, err, m.out.String())
	}
}

// TestDataFolder takes over what somebody tried as another user, and nothing that is not the agent's.
func TestDataFolder(t *testing.T) {
	m := newImage(t)
	m.write("/var/lib/storeagent/storeagent.db", "x")
	m.write("/var/lib/storeagent/backups/1.db", "x")
	if _, err := Install(t.Context(), m.options(nil)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "storeagent.db", "backups", "backups/1.db"} {
		info, err := os.Stat(filepath.Join(m.root, "/var/lib/storeagent", path))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.ownerOf(info); got != [2]int{998, 997} {
			t.Errorf("%q belongs to %v", path, got)
		}
	}

	m = newImage(t)
	m.write("/var/lib/storeagent/photos.zip", "x")
	if _, err := Install(t.Context(), m.options(nil)); err == nil || !strings.Contains(err.Error(), "holds other things") {
		t.Errorf("a folder of somebody else: %v", err)
	}
	o := m.options(nil)
	o.DeleteData = true
	if _, err := Uninstall(t.Context(), o); err == nil || m.read("/var/lib/storeagent/photos.zip") != "x" {
		t.Errorf("uninstall with a folder of somebody else: %v", err)
	}
}

func TestInstallFails(t *testing.T) {
	m := newImage(t)
	o := m.options(nil)
	o.machine.admin = func() bool { return false }
	if _, err := Install(t.Context(), o); !errors.Is(err, ErrAdmin) {
		t.Errorf("without rights: %v", err)
	}
	if err := Allowed(o); !errors.Is(err, ErrAdmin) {
		t.Errorf("allowed without rights: %v", err)
	}
	if _, err := Uninstall(t.Context(), o); !errors.Is(err, ErrAdmin) {
		t.Errorf("uninstall without rights: %v", err)
	}
	if runtime.GOOS == "linux" {
		o = m.options(nil)
		o.Root, o.machine.booted = "", func() bool { return false }
		if _, err := Install(t.Context(), o); !errors.Is(err, ErrNoSystemd) {
			t.Errorf("without systemd: %v", err)
		}
		o = m.options(nil)
		o.Root, o.ConfigPath = "", "/home/me/storeagent.toml"
		if _, err := Install(t.Context(), o); err == nil || !strings.Contains(err.Error(), "/etc/storeagent") {
			t.Errorf("a configuration that the service cannot see: %v", err)
		}
	}
	m.fail = "useradd"
	if _, err := Install(t.Context(), m.options(nil)); err == nil || !strings.Contains(err.Error(), "useradd") || !strings.Contains(err.Error(), "it fails") {
		t.Errorf("a command that fails: %v", err)
	}
}

// TestService enables, starts, leaves alone, restarts and refuses to restart the service of this machine.
func TestService(t *testing.T) {
	busy := errors.New("a card payment is under way")
	for _, c := range []struct {
		name          string
		active, newer bool
		ago           time.Duration // when it started; 0: it does not say
		may           error
		cfg           *config.Config
		want          []string
		err           error
	}{
		{"nothing configured", false, true, time.Hour, nil, nil, []string{"daemon-reload", "enable storeagent"}, nil},
		{"first start", false, true, time.Hour, nil, shop(t), []string{"daemon-reload", "enable storeagent", "is-active --quiet storeagent", "start storeagent"}, nil},
		{"runs already", true, false, -time.Hour, nil, shop(t), []string{"is-active --quiet storeagent"}, nil},
		{"configuration is newer", true, false, time.Hour, nil, shop(t), []string{"is-active --quiet storeagent", "restart storeagent"}, nil},
		{"does not say since when", true, false, 0, nil, shop(t), []string{"is-active --quiet storeagent", "restart storeagent"}, nil},
		{"stopped", false, false, time.Hour, nil, shop(t), []string{"is-active --quiet storeagent", "start storeagent"}, nil},
		{"newer", true, true, time.Hour, nil, shop(t), []string{"daemon-reload", "enable storeagent", "is-active --quiet storeagent", "restart storeagent"}, nil},
		{"newer and busy", true, true, time.Hour, busy, shop(t), []string{"daemon-reload", "enable storeagent", "is-active --quiet storeagent"}, busy},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newImage(t)
			o := m.options(c.cfg)
			o.MayRestart = func(context.Context) error { return c.may }
			o.Root, o.machine.base = "", m.root
			o.RunningSince = func(context.Context) (time.Time, error) {
				if c.ago == 0 {
					return time.Time{}, errors.New("no answer")
				}
				return time.Now().Add(-c.ago), nil
			}
			m.write(o.ConfigPath, "# mine")
			m.write(programPath, "the program")
			r := newRunner(o)
			if c.newer {
				m.write(unitPath, "an older unit")
			} else {
				m.write(unitPath, r.unit())
				m.write(unitLink, "")
				if err := os.Chmod(filepath.Join(m.root, unitPath), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m.active = c.active
			err := r.service(t.Context())
			if !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			var ran []string
			for _, line := range m.ran {
				ran = append(ran, strings.TrimPrefix(line, "systemctl "))
			}
			if !slices.Equal(ran, c.want) {
				t.Errorf("ran %q, want %q", ran, c.want)
			}
			if want := c.err == nil && c.cfg != nil; m.active != (want || c.active) {
				t.Errorf("runs: %v", m.active)
			}
		})
	}
}

func TestUninstall(t *testing.T) {
	m := newImage(t)
	ctx := t.Context()
	if _, err := Install(ctx, m.options(shop(t))); err != nil {
		t.Fatal(err)
	}
	m.write("/var/lib/storeagent/storeagent.db", "x")
	o := m.options(shop(t))
	o.DryRun = true
	before := m.tree()
	if r, err := Uninstall(ctx, o); err != nil || r.Steps == 0 || m.tree() != before {
		t.Errorf("a dry run: %+v, %v", r, err)
	}
	if _, err := Uninstall(ctx, m.options(shop(t))); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(policyPaths(), unitPath, unitLink, rulesPath, programPath) {
		if _, err := os.Lstat(filepath.Join(m.root, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if m.read("/etc/storeagent/storeagent.toml") == "" || m.read("/var/lib/storeagent/storeagent.db") != "x" || !strings.Contains(m.read("/etc/passwd"), "storeagent") {
		t.Error("configuration, data or user are gone")
	}
	m.ran = nil
	if r, err := Uninstall(ctx, m.options(shop(t))); err != nil || r.Steps != 0 || m.ran != nil {
		t.Errorf("a second time: %+v, %v, ran %v", r, err, m.ran)
	}
	o = m.options(shop(t))
	o.DeleteData = true
	if _, err := Uninstall(ctx, o); err != nil {
		t.Fatal(err)
	}
	if m.read("/var/lib/storeagent/storeagent.db") != "" || strings.Contains(m.read("/etc/passwd"), "storeagent") {
		t.Error("data or user are left")
	}
}

func TestStopAndStart(t *testing.T) {
	m := newImage(t)
	o := m.options(nil)
	o.Root, o.machine.base = "", m.root
	if ran, err := Stop(t.Context(), o); ran || err != nil {
		t.Errorf("stopped what did not run: %v, %v", ran, err)
	}
	m.active = true
	if ran, err := Stop(t.Context(), o); !ran || err != nil || m.active {
		t.Errorf("stop: %v, %v", ran, err)
	}
	if err := Start(t.Context(), o); err != nil || !m.active {
		t.Errorf("start: %v", err)
	}
}

// TestSample holds the configuration to fill in to what the program reads: nothing is wrong with it but what is empty,
// and its examples are right.
func TestSample(t *testing.T) {
	drivers := []config.Driver{
		{Name: "zvt", Category: devices.PaymentTerminal, Schemes: []string{port.SchemeSerial}, Options: func() any {
			return &struct {
				Password config.Secret `toml:"password"`
			}{}
		}},
		{Name: "escpos", Category: devices.POSPrinter, Schemes: []string{port.SchemeFile}, Options: func() any { return &struct{}{} }},
		{Name: "scanner", Category: devices.Scanner, Schemes: []string{port.SchemeSerial}, Options: func() any { return &struct{}{} }},
	}
	_, err := config.Parse("storeagent.toml", []byte(sample), drivers)
	var list *config.Error
	if !errors.As(err, &list) {
		t.Fatalf("the empty configuration passes: %v", err)
	}
	var missing []string
	for _, p := range list.Problems {
		if p.Message != "is missing" || p.Line == 0 {
			t.Errorf("%+v", p)
		}
		missing = append(missing, p.Key)
	}
	if want := []string{"store.code", "store.register", "store.timezone", "store.currency", "cloud.endpoint", "cloud.issuer", "cloud.client_id"}; !slices.Equal(missing, want) {
		t.Errorf("missing are %q, want %q", missing, want)
	}
	filled := sample
	for key, value := range map[string]string{
		"code": "DALLAS", "register": "LANE-3", "timezone": "America/Chicago", "currency": "USD",
		"endpoint": "https://pos.example.com/api/graphql", "issuer": "https://pos.example.com/", "client_id": "storeagent",
	} {
		filled = strings.Replace(filled, "\n"+key+` = ""`, "\n"+key+" = \""+value+"\"", 1)
	}
	example := regexp.MustCompile(`(?m)^# ((?:\[.*|[a-z_]+ = .*))$`)
	filled = example.ReplaceAllString(filled, "$1")
	filled = regexp.MustCompile(`(?m)^(?:logo|template) = "/etc/storeagent/.*$`).ReplaceAllString(filled, "") // files that are not there
	cfg, err := config.Parse("storeagent.toml", []byte(filled), drivers)
	if err != nil {
		t.Fatalf("%v in\n%s", err, filled)
	}
	if len(cfg.Devices) != 3 || len(cfg.Giftcard.Prefixes) != 1 || len(cfg.Server.AllowedOrigins) != 1 {
		t.Errorf("the examples are not all read: %+v", cfg)
	}
}

func TestRules(t *testing.T) {
	m := newImage(t)
	got := newRunner(m.options(shop(t))).rules()
	for _, want := range []string{
		`SUBSYSTEM=="hidraw", ATTRS{idVendor}=="0c2e", GROUP="storeagent", MODE="0660"`,
		`SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="04b8", ATTR{idProduct}=="0202", ENV{ID_USB_INTERFACES}!="*:0701*:*", GROUP="storeagent", MODE="0660"`,
		`SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="11ca", ENV{ID_MM_DEVICE_IGNORE}="1"`,
		`SUBSYSTEM=="tty", ENV{DEVLINKS}=="*/dev/serial/by-id/usb-X-if00*", ENV{ID_MM_PORT_IGNORE}="1"`,
		`SUBSYSTEM=="hidraw", ATTRS{idVendor}=="abcd", ATTRS{idProduct}=="0001", GROUP="storeagent", MODE="0660"`,
		`SUBSYSTEM=="input", KERNEL=="event*", ATTRS{idVendor}=="abcd", ATTRS{idProduct}=="0002", GROUP="storeagent", MODE="0660"`,
		`ATTR{idProduct}=="0003", ENV{ID_USB_INTERFACES}!="*:0701*:*", GROUP="storeagent", MODE="0660"`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") && !strings.Contains(got, want+"\n") {
			t.Errorf("no rule %s", want)
		}
	}
	// A rule is a line of KEY OP "VALUE" parts; converters, which serve all trades, and readers of cards have none.
	part := regexp.MustCompile(`^[A-Z_]+(\{[A-Za-z_]+\})?(==|!=|=)"[^"]*"$`)
	for line := range strings.Lines(got) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for p := range strings.SplitSeq(line, ", ") {
			if !part.MatchString(p) {
				t.Errorf("%q is no part of a rule: %s", p, line)
			}
		}
		if strings.Contains(line, `"0403"`) || strings.Contains(line, `"0801"`) {
			t.Errorf("a rule too many: %s", line)
		}
	}
	if pathRule("x", `/dev/tty"S0`) != "" || pathRule("x", "COM3") != "" {
		t.Error("a path that no rule can hold got one")
	}
	if got := pathRule("x", "/dev/ttyUSB0"); !strings.Contains(got, `KERNEL=="ttyUSB0"`) {
		t.Error(got)
	}
}

// TestApplyRules reloads udev where it runs, and goes on where that fails.
func TestApplyRules(t *testing.T) {
	m := newImage(t)
	o := m.options(nil)
	o.Root, o.machine.base = "", m.root
	if err := newRunner(o).udev(t.Context()); err != nil || m.ran != nil || !strings.Contains(m.out.String(), "udev could not be told") {
		t.Errorf("without udev: %v, ran %v\n%s", err, m.ran, m.out.String())
	}
	m.write("/run/udev/control", "")
	m.write(rulesPath, "older")
	m.fail = "udevadm"
	if err := newRunner(o).udev(t.Context()); err != nil || len(m.ran) != 2 || !strings.HasPrefix(m.ran[1], "udevadm trigger") {
		t.Errorf("with udev: %v, ran %v", err, m.ran)
	}
}

func TestGroups(t *testing.T) {
	m := newImage(t)
	cfg := shop(t)
	if got := newRunner(m.options(cfg)).wantedGroups([]string{"dialout"}); slices.Contains(got, "input") || slices.Contains(got, "uucp") {
		t.Errorf("a keyboard scanner by its id needs %v", got)
	}
	byPath, err := port.ParseAddress("evdev:/dev/input/by-id/usb-X-event-kbd")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Devices[2].Port = byPath
	if got := newRunner(m.options(cfg)).wantedGroups(nil); !slices.Contains(got, "input") || !slices.Contains(got, "uucp") {
		t.Errorf("a keyboard scanner by its path needs %v", got)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/etc/storeagent/x.toml": "/etc/storeagent/x.toml", "/srv/100%/x": "/srv/100%%/x", "/srv/a b$c": `"/srv/a b$$c"`} {
		if got := quote(in); got != want {
			t.Errorf("%s is spelled %s, want %s", in, got, want)
		}
	}
}

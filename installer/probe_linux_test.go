package installer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/scanner"
	"storeagent/installer/config"
	"storeagent/offline/sqlite"
	"storeagent/payments/terminalsim"
	"storeagent/payments/zvt"
)

// The test program runs itself in these parts.
const (
	roleKey  = "STOREAGENT_INSTALLER_TEST"
	roleHold = "hold" // open the file of the argument and hold it until standard input ends
	roleLook = "look" // look at the printer at the port of the argument, and at the folder of the second
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleKey) {
	case roleHold:
		f, err := os.OpenFile(os.Args[1], os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		f.Close()
		os.Exit(0)
	case roleLook:
		a, err := port.ParseAddress(os.Args[1])
		if err != nil {
			panic(err)
		}
		cfg := &config.Config{Path: "x.toml", Devices: []config.Device{{Name: "paper", Driver: "escpos", Port: a}}}
		list := append(direct(context.Background(), cfg, build), dataFolder(os.Args[2], false)...)
		if err := json.NewEncoder(os.Stdout).Encode(list); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type deafSink struct{ scanner.Sink }

// build makes the real drivers, as cmd does.
func build(cfg *config.Config, d config.Device) (devices.Device, error) {
	serial := &serialport.Ports{}
	open := port.Bind(port.Table{port.SchemeSerial: serial.Open, port.SchemeTCP: port.OpenTCP, port.SchemeFile: port.OpenFile}, d.Port)
	log := slog.New(slog.DiscardHandler)
	switch d.Driver {
	case "escpos":
		return escpos.New(escpos.Config{Name: d.Name, Port: d.Port.String(), Open: open, Log: log})
	case "scanner":
		return scanner.New(scanner.Config{Name: d.Name, Port: d.Port.String(), Open: open, Log: log, Sink: deafSink{}})
	case "zvt":
		o := zvt.Options{Password: "000000", Currency: cfg.Store.Currency}
		return zvt.New(zvt.Config{Name: d.Name, Port: d.Port.String(), Open: open, Serial: d.Port.Scheme == port.SchemeSerial, Options: o, Log: log})
	}
	return nil, fmt.Errorf("no driver %q", d.Driver)
}

// counter is a place to plug devices in.
type counter struct {
	t   *testing.T
	dir string
	n   int
}

// plug puts a device behind a fresh pty and gives its path; f is what the device does, nil for nothing at all.
func (c *counter) plug(f func(ctx context.Context, rw io.ReadWriteCloser) error) string {
	c.t.Helper()
	c.n++
	pty, err := devicesim.OpenPTY(filepath.Join(c.dir, fmt.Sprintf("tty%d", c.n)))
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if f != nil {
			_ = f(ctx, pty)
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		if err := pty.Close(); err != nil {
			c.t.Error(err)
		}
		<-done
	})
	return "serial:" + pty.Name()
}

// printer plugs a simulated printer in, in that state.
func (c *counter) printer(set func(*devicesim.Printer)) string {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true})
	set(p)
	return c.plug(func(ctx context.Context, rw io.ReadWriteCloser) error { return p.Serve(ctx, rw) })
}

func (c *counter) terminal(o terminalsim.Options) string {
	z := terminalsim.NewZVT(o)
	return c.plug(func(ctx context.Context, rw io.ReadWriteCloser) error { return z.ServeSerial(ctx, rw) })
}

// silentTCP takes connections and says nothing.
func silentTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn); conn.Close() }()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "tcp:" + l.Addr().String()
}

// hold starts another process that has the file open.
func hold(t *testing.T, path string) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{self, path}
	cmd.Env = append(os.Environ(), roleKey+"="+roleHold)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// TestBrokenDevices breaks devices for real and wants each named for what it is.
func TestBrokenDevices(t *testing.T) {
	c := &counter{t: t, dir: t.TempDir()}
	fine := func(*devicesim.Printer) {}
	heldPath := c.plug(nil)
	pid := hold(t, strings.TrimPrefix(heldPath, "serial:"))
	usd := terminalsim.Options{Currency: "840", Password: "000000"}
	table := []struct {
		name, driver, port  string
		level               Level
		code, message, hint string
	}{
		{"well", "escpos", c.printer(fine), OK, "", "ready (escpos)", ""},
		{"cover", "escpos", c.printer(func(p *devicesim.Printer) { p.SetCover(true) }), Failure, "cover_open", "the cover is open", "close the cover"},
		{"paper", "escpos", c.printer(func(p *devicesim.Printer) { p.SetPaper(devicesim.PaperOut) }), Failure, "paper_out", "the paper is out", "new roll"},
		{"low", "escpos", c.printer(func(p *devicesim.Printer) { p.SetPaper(devicesim.PaperNear) }), Warning, "paper_low", "nearly used up", "new roll"},
		{"jam", "escpos", c.printer(func(p *devicesim.Printer) { p.SetFault(true) }), Failure, "device_error", "reports an error", "paper jam"},
		{"nobody", "escpos", c.plug(nil), Warning, "silent", "opens, but the printer answers nothing", "print-test nobody"},
		{"missing", "escpos", "serial:" + c.dir + "/tty99", Failure, "missing", "no such file", c.dir + "/tty1"},
		{"held", "escpos", heldPath, Failure, "busy", fmt.Sprintf("(process %d)", pid), "end "},
		{"refused", "escpos", "tcp:" + closedPort(t), Failure, "missing", "connection refused", "in the same network"},
		{"name", "escpos", "tcp:printer..example:9100", Failure, "missing", "no such host", "IP address"},
		{"folder", "escpos", "file:" + c.dir, Failure, "bad_address", "is a directory", "is a folder"},
		{"hand", "scanner", c.plug(nil), OK, "", "ready (scanner)", ""},
		{"card", "zvt", c.terminal(usd), OK, "", "ready (zvt)", ""},
		{"password", "zvt", c.terminal(terminalsim.Options{Currency: "840", Password: "123456"}), Failure, "device_error", "refused", "password"},
		{"currency", "zvt", c.terminal(terminalsim.Options{Currency: "978"}), Failure, "device_error", "currency", "currency"},
		{"mute", "zvt", silentTCP(t), Failure, "silent", "", "ZVT over TCP"},
		{"dead", "zvt", c.plug(nil), Failure, "silent", "", "cable"},
	}
	cfg := &config.Config{Path: "storeagent.toml", Store: config.Store{Currency: "USD"}}
	for _, row := range table {
		a, err := port.ParseAddress(row.port)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Devices = append(cfg.Devices, config.Device{Name: row.name, Driver: row.driver, Port: a})
	}
	list := direct(t.Context(), cfg, build)
	for i, row := range table {
		f := list[i]
		if f.Part != "device" || f.Name != row.name || f.Level != row.level || f.Code != row.code || !strings.Contains(f.Message, row.message) ||
			!strings.Contains(f.Hint, row.hint) || (f.Hint == "") != (f.Level == OK) {
			t.Errorf("%s: %+v", row.name, f)
		}
	}
}

// TestUnprivileged looks as a user who may open nothing: another process, since this one may be root.
func TestUnprivileged(t *testing.T) {
	dir, err := os.MkdirTemp("", "storeagent-check-") //nolint:usetesting // the parents of TempDir are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied, node, data := filepath.Join(dir, "program"), filepath.Join(dir, "lp0"), filepath.Join(dir, "data")
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(copied, program, 0o755), os.Chmod(copied, 0o755), //nolint:gosec // another user has to run it
		os.WriteFile(node, nil, 0o600), os.Chmod(node, 0), os.Mkdir(data, 0o700), os.Chmod(data, 0o500),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(copied)
	cmd.Args = []string{copied, "file:" + node, data}
	cmd.Env = []string{roleKey + "=" + roleLook}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []Finding
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if f := find(t, list, "paper"); f.Level != Failure || f.Code != "no_permission" || !strings.Contains(f.Hint, "sudo usermod -aG lp ") {
		t.Errorf("%+v", f)
	}
	if f := find(t, list, data); f.Level != Failure || f.Code != "no_permission" || !strings.Contains(f.Message, "may not write") || !strings.Contains(f.Hint, "chown") {
		t.Errorf("%+v", f)
	}
}

// TestLocked finds the process that sits on the database although no agent answers.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, sqlite.LockFile)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Data: config.Data{Dir: dir}, Server: config.Server{Listen: "127.0.0.1:8787"}}
	if f := noAgent(cfg, ErrNoAgent); f.Code != "not_running" || f.Level != Warning {
		t.Errorf("nobody holds it: %+v", f)
	}
	pid := hold(t, path)
	f := noAgent(cfg, ErrNoAgent)
	if f.Code != "locked" || f.Level != Failure || !strings.Contains(f.Message, fmt.Sprintf("(process %d)", pid)) || !strings.Contains(f.Hint, fmt.Sprintf("end process %d", pid)) {
		t.Errorf("%+v", f)
	}
}

// TestDevicesOfAHangingAgent says that the ports are the agent's, in place of advice on somebody else's program.
func TestDevicesOfAHangingAgent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, sqlite.LockFile) // the holder of one file stands for database and port
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hold(t, path)
	a, err := port.ParseAddress("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Data: config.Data{Dir: dir}, Devices: []config.Device{{Name: "paper", Driver: "escpos", Port: a}}}
	list := direct(t.Context(), cfg, build)
	if len(list) != 1 || list[0].Code != "busy" || !strings.Contains(list[0].Hint, "the agent above") {
		t.Errorf("%+v", list)
	}
}

// TestStrangers finds files that somebody else left in the data folder. Only root can make some.
func TestStrangers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "storeagent.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strangers(dir, info); len(got) != 0 {
		t.Errorf("all one owner's: %+v", got)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else if info, err = os.Stat("/"); err != nil { // root's folder, and our file is the stranger
		t.Fatal(err)
	}
	got := strangers(dir, info)
	if len(got) != 1 || got[0].Code != "owner" || got[0].Level != Failure || got[0].Name != path || !strings.Contains(got[0].Hint, "chown -R") {
		t.Errorf("%+v", got)
	}
}

// TestBusyHints names the usual suspects.
func TestBusyHints(t *testing.T) {
	for name, want := range map[string]string{
		"ModemManager": "sudo storeagent install", "cupsd": "lpadmin -x", "usb": "lpadmin -x", "agetty": "serial-getty@lp0", "brltty": "brltty",
		"storeagent": "stop it", "minicom": "end minicom (process 7)",
	} {
		f := held("paper", "/dev/usb/lp0", holder{7, name})
		if f.Code != "busy" || f.Level != Failure || !strings.Contains(f.Hint, want) || f.Message != "/dev/usb/lp0 is held by "+name+" (process 7)" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestBusyAtTheAgent names the holder of a port that the running agent could not get.
func TestBusyAtTheAgent(t *testing.T) {
	c := &counter{t: t, dir: t.TempDir()}
	path := c.plug(nil)
	a, err := port.ParseAddress(path)
	if err != nil {
		t.Fatal(err)
	}
	pid := hold(t, strings.TrimPrefix(path, "serial:"))
	d := config.Device{Name: "paper", Port: a}
	f := Finding{Part: "device", Name: "paper", Level: Failure, Code: "busy", Message: "open: busy", Hint: "see fuser"}
	f.nameHolder(d)
	if !strings.Contains(f.Message, fmt.Sprintf("(process %d)", pid)) || f.Code != "busy" {
		t.Errorf("%+v", f)
	}
	other := Finding{Part: "device", Name: "paper", Level: Failure, Code: "silent", Message: "m"}
	if other.nameHolder(d); other.Message != "m" {
		t.Errorf("%+v", other)
	}
}

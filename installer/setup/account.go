package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices/port"
)

// account is the service's user as passwd and group of the machine have it.
type account struct {
	uid, gid int
	found    bool
	groups   []string // all groups of the machine
	member   []string // those that the user is a member of
}

// account reads the user and the groups.
func (r *runner) account() (account, error) {
	a := account{uid: -1, gid: -1}
	err := r.records("/etc/passwd", func(f []string) error {
		if f[0] != Name || len(f) < 4 {
			return nil
		}
		var errU, errG error
		a.uid, errU = strconv.Atoi(f[2])
		a.gid, errG = strconv.Atoi(f[3])
		a.found = true
		return errors.Join(errU, errG)
	})
	if err != nil {
		return a, err
	}
	err = r.records("/etc/group", func(f []string) error {
		a.groups = append(a.groups, f[0])
		if len(f) > 3 && slices.Contains(strings.Split(f[3], ","), Name) {
			a.member = append(a.member, f[0])
		}
		return nil
	})
	return a, err
}

// records reads a file of lines with fields between colons. A file that is missing has none.
func (r *runner) records(path string, each func(fields []string) error) error {
	f, err := os.Open(r.path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if err := each(strings.Split(lines.Text(), ":")); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return lines.Err()
}

// wantedGroups are those, among the groups that are there, that open the nodes of the configured devices: serial ports (dialout, elsewhere uucp),
// printers (lp). The group input reads every keyboard and is asked for only where a scanner that can only be a keyboard
// is configured by its path; by its id a rule opens that scanner alone.
func (r *runner) wantedGroups(there []string) []string {
	groups := []string{"dialout", "lp"}
	if !slices.Contains(there, "dialout") {
		groups[0] = "uucp"
	}
	if r.Config == nil {
		return groups
	}
	for _, d := range r.Config.Devices {
		if _, _, _, byID := d.Port.USBID(); d.Port.Scheme == port.SchemeEvdev && !byID {
			groups = append(groups, "input")
			break
		}
	}
	return groups
}

// user makes the service's user and puts it into its groups.
func (r *runner) user(ctx context.Context) error {
	a, err := r.account()
	if err != nil {
		return err
	}
	prefix := []string{}
	if !r.here() && r.Root != "/" {
		prefix = []string{"--prefix", r.Root} // of useradd(8): the files below, without a chroot
	}
	if a.found {
		r.printf("  is so    user %s\n", Name)
	} else {
		args := append(append([]string{"useradd"}, prefix...), "--system", "--user-group", "--no-create-home", "--home-dir", r.dataDir(),
			"--shell", "/usr/sbin/nologin", "--comment", "store register agent", Name)
		if slices.Contains(a.groups, Name) { // left by a person; useradd would refuse
			args = slices.Replace(args, slices.Index(args, "--user-group"), slices.Index(args, "--user-group")+1, "--gid", Name)
		}
		if err := r.command(ctx, true, args...); err != nil {
			return err
		}
	}
	var join []string
	for _, g := range r.wantedGroups(a.groups) {
		if slices.Contains(a.groups, g) && !slices.Contains(a.member, g) {
			join = append(join, g)
		}
	}
	if len(join) == 0 {
		return nil
	}
	return r.command(ctx, true, append(append([]string{"usermod"}, prefix...), "--append", "--groups", strings.Join(join, ","), Name)...)
}

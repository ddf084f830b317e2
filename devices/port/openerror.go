package port

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
)

// OpenError turns the failure to open the node at path into an *Error of the right kind, with a hint that names
// nodes like the missing one, the group that may open it, or who could hold it. An *Error comes back as it is.
func OpenError(address, path string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Op: "open", Address: address, Kind: Failed, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		e.Kind, e.Hint = Missing, missingHint(path)
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = NoPermission, permissionHint(path)
	case errors.Is(err, syscall.EBUSY):
		e.Kind, e.Hint = InUse, busyHint(path, "CUPS (printers) or ModemManager (serial ports)")
	case errors.Is(err, syscall.EISDIR):
		e.Kind, e.Hint = BadAddress, path+" is a folder: name the device node in it"
	}
	return e
}

// mostSimilar is how many nodes a hint names.
const mostSimilar = 5

// missingHint names nodes of the same folder that begin alike up to the digits, else of the folder.
func missingHint(path string) string {
	const check = "check the cable and the power of the device"
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if dir == "" || err != nil || len(entries) == 0 {
		return check + "; nothing is plugged in at " + path
	}
	stem := strings.TrimRight(base, "0123456789")
	byID := filepath.Base(filepath.Clean(dir)) == "by-id" || filepath.Base(filepath.Clean(dir)) == "by-path"
	var similar []string
	for _, entry := range entries {
		if len(similar) < mostSimilar && (byID || stem != "" && strings.HasPrefix(entry.Name(), stem)) {
			similar = append(similar, filepath.Join(dir, entry.Name()))
		}
	}
	if len(similar) == 0 {
		return check + "; there is nothing like " + path
	}
	return check + "; there is " + strings.Join(similar, ", ")
}

// permissionHint names the group that owns the node and the command that lets our user in.
func permissionHint(path string) string {
	group := groupOf(path)
	if group == "" || group == "root" {
		group = "dialout"
		if strings.HasPrefix(filepath.Base(path), "lp") {
			group = "lp"
		}
	}
	name := "storeagent"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return "let user " + name + " open it: sudo usermod -aG " + group + " " + name + ", then restart the service"
}

package signin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// disk is the data folder. before, where set, hears of each operation and can make it fail: tests put a full disk or
// a power cut there.
type disk struct {
	dir    string
	before func(op string) error

	mu sync.Mutex // one write at a time: the temporary name is fixed
}

func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	return &disk{dir: dir}, nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) step(op string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op)
}

func (d *disk) read(name string) ([]byte, error) {
	if err := d.step("read " + name); err != nil {
		return nil, err
	}
	return os.ReadFile(d.path(name))
}

// write replaces a file so that after a power cut there is the old content or the new one, and returns only after
// the new one is on the platter: temporary file, fsync, rename, fsync of the folder.
func (d *disk) write(name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tmp := d.path(name + ".tmp")
	if err := d.step("create " + name); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = d.fill(f, name, data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.step("rename " + name)
	}
	if err == nil {
		err = os.Rename(tmp, d.path(name))
	}
	if err != nil {
		return err
	}
	return d.syncDir(name)
}

func (d *disk) fill(f *os.File, name string, data []byte) error {
	if err := d.step("write " + name); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := d.step("sync " + name); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a rename or a removal last. Windows has no such call and needs none.
func (d *disk) syncDir(name string) error {
	if err := d.step("sync folder of " + name); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// remove deletes files; one that is not there is no error.
func (d *disk) remove(names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var gone bool
	for _, name := range names {
		if err := d.step("remove " + name); err != nil {
			return err
		}
		err := os.Remove(d.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		gone = gone || err == nil
	}
	if !gone {
		return nil
	}
	return d.syncDir(names[0])
}

// setAside renames a file out of the way and returns its new name.
func (d *disk) setAside(name, suffix string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("rename " + name); err != nil {
		return "", err
	}
	to := name + "." + suffix
	if err := os.Rename(d.path(name), d.path(to)); err != nil {
		return "", err
	}
	return to, d.syncDir(name)
}

package sqlite

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"storeagent/internal/journal"
)

func TestReserveComesAndGoes(t *testing.T) {
	const reserve = 1 << 20
	var free int64
	room := func(string) (int64, int64, error) { return free, 1 << 40, nil }
	dir := t.TempDir()
	built := func() bool {
		fi, err := os.Stat(filepath.Join(dir, reserveFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil && fi.Size() == reserve
	}
	for _, tc := range []struct {
		name        string
		free        int64
		built, full bool
	}{
		{"next to nothing left", spare - 1, false, true},
		{"room, but not for the reserve", spare + reserve - 1, false, false},
		{"room for the reserve", spare + reserve, true, false},
		{"the reserve is there from before", 0, true, false},
	} {
		free = tc.free
		d := newDisk(dir, reserve, slog.New(slog.DiscardHandler), room)
		if err := d.admit(); errors.Is(err, journal.ErrStorageFull) != tc.full || (err != nil) != tc.full {
			t.Errorf("%s: admit %v", tc.name, err)
		}
		if built() != tc.built {
			t.Errorf("%s: reserve built %v", tc.name, built())
		}
	}
	d := newDisk(dir, reserve, slog.New(slog.DiscardHandler), room)
	cause := errors.New("write refused")
	if !d.refusedWrite(cause) || built() {
		t.Error("the first refusal did not give up the reserve")
	}
	if d.refusedWrite(cause) {
		t.Error("a second refusal gave up something")
	}
	free = reserve // what was just given up is not room for new work
	if err := d.admit(); !errors.Is(err, journal.ErrStorageFull) || !errors.Is(err, cause) {
		t.Errorf("admit %v", err)
	}
	free = spare + reserve
	if err := d.admit(); err != nil || !built() {
		t.Errorf("with room again: admit %v, reserve built %v", err, built())
	}
}

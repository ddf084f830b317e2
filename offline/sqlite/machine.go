package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// settingMachine holds the marks of the machine that used this folder last.
const settingMachine = "machine"

// machineMarks is what this machine is known by: hashes of its id and of the addresses burnt into its network cards.
// A folder that was copied to a second machine is found out by them; a second disk image that runs with the same id
// and the same cards is not.
func machineMarks() []string {
	var marks []string
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(id))) > 0 {
			marks = append(marks, mark1("id", strings.TrimSpace(string(id))))
			break
		}
	}
	cards, err := net.Interfaces()
	if err != nil {
		return marks // the id alone, or nothing
	}
	for _, c := range cards {
		// The second bit of the first byte marks addresses that software made up (IEEE 802, section 8.4).
		if len(c.HardwareAddr) == 6 && c.HardwareAddr[0]&2 == 0 && c.Flags&net.FlagLoopback == 0 {
			marks = append(marks, mark1("card", c.HardwareAddr.String()))
		}
	}
	slices.Sort(marks)
	return slices.Compact(marks)
}

func mark1(kind, value string) string {
	sum := sha256.Sum256([]byte("storeagent machine " + kind + " " + value))
	return kind + ":" + hex.EncodeToString(sum[:8])
}

// sameMachine compares kind by kind: one network card that is still there is enough, and what only one side knows says
// nothing.
func sameMachine(before, now []string) bool {
	for _, kind := range []string{"id:", "card:"} {
		common, had, has := false, false, false
		for _, m := range before {
			had = had || strings.HasPrefix(m, kind)
			common = common || strings.HasPrefix(m, kind) && slices.Contains(now, m)
		}
		for _, m := range now {
			has = has || strings.HasPrefix(m, kind)
		}
		if had && has && !common {
			return false
		}
	}
	return true
}

// otherMachine tells whether another machine used this database last, and whether what is known of this one is news.
func (s *Store) otherMachine(ctx context.Context) (other, news bool, err error) {
	var text string
	err = s.write.QueryRowContext(ctx, qSettingGet, settingMachine).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return false, true, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("read the machine's marks: %w", err)
	}
	var before []string
	if err := json.Unmarshal([]byte(text), &before); err != nil {
		return false, false, fmt.Errorf("read the machine's marks: %w", err)
	}
	return !sameMachine(before, s.machine), !slices.Equal(before, s.machine), nil
}

// rememberMachine writes the marks down, once what they meant is written down too.
func (s *Store) rememberMachine(ctx context.Context) error {
	text, err := json.Marshal(s.machine)
	if err != nil {
		return fmt.Errorf("write the machine's marks: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, qSettingSet, settingMachine, string(text)); err != nil {
		return fmt.Errorf("write the machine's marks: %w", err)
	}
	return nil
}

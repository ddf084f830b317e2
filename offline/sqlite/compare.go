package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"storeagent/offline"
)

// start is where the writer goes on from.
type start struct {
	epoch   uuid.UUID
	commits int64
	event   int64
	renew   bool // the high-water mark starts afresh under a new epoch
}

// keysForgotten is said of a database that may be older than the last one in use: what it never heard of it cannot
// recognise.
const keysForgotten = "Idempotency keys that came after it are forgotten too: before a register repeats a call from that time, " +
	"see whether the cloud or the terminal has it, as it would be taken as new."

// tailChecked is how many of the newest sales in the high-water mark are looked up at each start.
const tailChecked = 64

// compare holds the database against the high-water mark. Where the two disagree the database is not the one that
// was in use last: what it calls queued may have been sent, so all of that becomes in doubt.
func (s *Store) compare(ctx context.Context, m mark, d *damage) (start, error) {
	at, err := s.generation(ctx)
	if err != nil {
		return at, err
	}
	list, err := s.judge(ctx, at, m, d)
	if err != nil {
		return at, err
	}
	other, news, err := s.otherMachine(ctx)
	if err != nil {
		return at, err
	}
	if other && at.commits > 0 {
		list = append(list, Finding{Code: "machine_changed", Severity: Error,
			Message: "this folder was used by another machine before; if that one still runs, both would send the same queue",
			Hint: "Keep only one of the two running. Check each operation in doubt against the cloud's admin console. " +
				"To change machines on purpose, use storeagent queue export --move and queue import."})
	}
	at.event = m.lastEvent()
	if doubtful(list) {
		if m.exists {
			kept, err := s.keepHighwater(d)
			if err != nil {
				return at, err
			}
			for i := range list {
				list[i].Hint += " The files from before are kept in " + kept + "."
			}
		}
		at.renew = true
		at.commits = max(at.commits, m.lastCommit())
		if at.epoch, err = uuid.NewRandom(); err != nil {
			return at, fmt.Errorf("make an epoch: %w", err)
		}
	}
	if err = s.adopt(ctx, at, m, list); err != nil {
		return at, err
	}
	if news {
		if err := s.rememberMachine(ctx); err != nil {
			return at, err
		}
	}
	return at, s.found.load(ctx, s.write)
}

// generation reads which generation this database is, making one up for a new file.
func (s *Store) generation(ctx context.Context) (start, error) {
	var at start
	var epoch string
	err := s.write.QueryRowContext(ctx, qMeta).Scan(&epoch, &at.commits)
	if errors.Is(err, sql.ErrNoRows) {
		if at.epoch, err = uuid.NewRandom(); err != nil {
			return at, fmt.Errorf("make an epoch: %w", err)
		}
		if _, err := s.write.ExecContext(ctx, qMetaInsert, at.epoch.String()); err != nil {
			return at, fmt.Errorf("write the epoch: %w", err)
		}
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the epoch: %w", err)
	}
	if at.epoch, err = uuid.Parse(epoch); err != nil {
		return at, fmt.Errorf("read the epoch: %w", err)
	}
	return at, nil
}

func doubtful(list []Finding) bool {
	for _, f := range list {
		if f.Severity == Error {
			return true
		}
	}
	return false
}

// judge says what is wrong. An Error means that the database cannot be trusted to know what was sent.
func (s *Store) judge(ctx context.Context, at start, m mark, d *damage) ([]Finding, error) {
	var list []Finding
	add := func(sev Severity, code, message, hint string) {
		list = append(list, Finding{Code: code, Message: message, Hint: hint, Severity: sev})
	}
	switch {
	case d != nil && d.restored != "":
		add(Error, "database_damaged", "the queue's database was damaged ("+d.why+"); the backup "+d.restored+" took its place",
			"Keep the folder "+d.kept+" and call support. Check each operation in doubt against the cloud's admin console. "+keysForgotten)
	case d != nil:
		add(Error, "database_damaged", "the queue's database was damaged ("+d.why+"); a new one was started",
			"Keep the folder "+d.kept+" and call support: the sales in it can be read out. "+keysForgotten)
	}
	unused := at.commits == 0 && m.lastCommit() == 0 // nothing was ever promised
	tail := tailChecked
	switch {
	case d != nil, unused:
	case !m.exists:
		add(Error, "highwater_missing", "the file "+highwaterFile+" is missing; the database may be a copy or a backup",
			"Check each operation in doubt against the cloud's admin console. "+keysForgotten)
	case !m.headOK:
		add(Error, "highwater_damaged", "the file "+highwaterFile+" cannot be read; nothing tells whether the database is complete",
			"Check each operation in doubt against the cloud's admin console.")
	case m.epoch != at.epoch:
		add(Error, "queue_replaced", "the database is not the one that was in use last; it was restored, copied or started anew",
			"Check each operation in doubt against the cloud's admin console. "+keysForgotten)
	case m.lastCommit() > at.commits:
		add(Error, "commits_lost", fmt.Sprintf("the last %d commits are missing from the database", m.lastCommit()-at.commits),
			"Check this machine's disk. Check each operation in doubt against the cloud's admin console. "+keysForgotten)
	case m.holes:
		add(Warning, "highwater_damaged", "some records of the file "+highwaterFile+" cannot be read", "Check this machine's disk.")
	}
	if doubtful(list) {
		tail = len(m.records)
	}
	gone, err := s.missing(ctx, m, tail)
	return append(list, gone...), err
}

// missing names the newest sales and payments of the mark that the database does not hold.
func (s *Store) missing(ctx context.Context, m mark, tail int) ([]Finding, error) {
	var sales []int64
	var pays []string
	seen := map[[16]byte]bool{}
	for i := len(m.records) - 1; i >= 0 && tail > 0; i-- {
		r := m.records[i]
		if (r.kind != kindSale && r.kind != kindPayment) || seen[r.id] {
			continue
		}
		tail--
		seen[r.id] = true
		there, err := s.holds(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case there:
		case r.kind == kindSale:
			sales = append([]int64{r.seq}, sales...)
		default:
			pays = append([]string{uuid.UUID(r.id).String()}, pays...)
		}
	}
	var list []Finding
	if len(sales) > 0 {
		list = append(list, Finding{Code: "sales_missing", Severity: Error,
			Message: plural("sale", len(sales)) + " " + ranges(sales) + isAre(len(sales)) + " missing from the queue",
			Hint:    "Compare the register's own journal with the cloud's admin console and record there what is missing."})
	}
	if len(pays) > 0 {
		list = append(list, Finding{Code: "payments_missing", Severity: Error,
			Message: plural("payment", len(pays)) + " " + strings.Join(pays, ", ") + isAre(len(pays)) + " missing from the journal",
			Hint:    "Compare the terminal's own journal with the register's, and void there what no sale paid for."})
	}
	return list, nil
}

// holds tells whether the database has the row that a record speaks of.
func (s *Store) holds(ctx context.Context, r record) (bool, error) {
	query, arg := qSaleIDAt, any(r.seq)
	if r.kind == kindPayment {
		if !r.isUUID {
			return true, nil // cannot be looked up by its hash
		}
		query, arg = qPaymentThere, uuid.UUID(r.id).String()
	}
	var id string
	err := s.write.QueryRowContext(ctx, query, arg).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare with the high-water mark: %w", err)
	}
	have, _ := slotID(id)
	return have == r.id, nil
}

// keepHighwater puts the file from before beside the damaged database, or into a folder of its own.
func (s *Store) keepHighwater(d *damage) (string, error) {
	kept := ""
	if d != nil {
		kept = d.kept
	} else {
		var err error
		if kept, err = s.freshFolder(); err != nil {
			return "", fmt.Errorf("keep the high-water mark: %w", err)
		}
	}
	data, err := os.ReadFile(s.path(highwaterFile))
	if err != nil {
		return "", fmt.Errorf("keep the high-water mark: %w", err)
	}
	// A copy: the file itself stays until the database knows what it said.
	if err := os.WriteFile(filepath.Join(kept, highwaterFile), data, 0o600); err != nil {
		return "", fmt.Errorf("keep the high-water mark: %w", err)
	}
	return kept, nil
}

// adopt writes the findings and, under a new epoch, puts everything that may have been sent in doubt and keeps
// numbers from being given twice.
func (s *Store) adopt(ctx context.Context, at start, m mark, list []Finding) error {
	if len(list) == 0 {
		return nil
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	now := time.Now().UnixMilli()
	steps := []step{}
	if at.renew {
		steps = append(steps,
			step{qMetaRenew, []any{at.epoch.String(), at.commits}},
			step{qDoubtUntrusted, []any{offline.CodeReplaced, "the queue's files were lost or replaced, so nobody knows whether this was sent"}},
			step{qSaleStatesInDoubt, nil},
			step{qPaymentsUntrusted, nil},
			step{qPaymentOpsUntrusted, nil},
			step{qSequenceAdd, []any{"sales"}}, step{qSequenceRaise, []any{m.lastSale(), "sales"}},
			step{qSequenceAdd, []any{"events"}}, step{qSequenceRaise, []any{m.lastEvent(), "events"}},
		)
	}
	for _, f := range list {
		s.log.Error("start check", "code", f.Code, "message", f.Message)
		steps = append(steps, step{qFindingAdd, []any{now, f.Code, f.Message, f.Hint, string(f.Severity)}})
	}
	for _, st := range steps {
		if _, err := tx.ExecContext(ctx, st.query, st.args...); err != nil {
			return errors.Join(fmt.Errorf("write findings: %w", err), tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}

// step is one statement of a transaction outside the writer.
type step struct {
	query string
	args  []any
}

// ranges writes rising numbers as "3 to 7, 9".
func ranges(list []int64) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d to %d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func isAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

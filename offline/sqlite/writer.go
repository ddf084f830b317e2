package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"

	"storeagent/internal/journal"
)

// batchLimit is how many callers share a commit at most.
const batchLimit = 512

// request is one caller's change. do may run more than once, so it sets results only by assignment.
type request struct {
	ctx     context.Context
	newWork bool // refused while the disk is full
	do      func(*tx) error
	done    chan error
	err     error
	fx      effects
}

// writer is the one goroutine that changes the database. While a commit is being flushed the next callers gather in
// the queue, so batches form by themselves and a lone caller waits for nobody.
type writer struct {
	s       *Store
	ctx     context.Context
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	hw      *highwater
	commits int64
	tally   *tally
	log     *eventLog
	pruned  int64 // events up to here were looked at for pruning

	queue   chan *request
	ended   chan struct{}
	mu      sync.RWMutex // held for reading while a caller hands over
	stopped bool
}

// startWriter reads what is kept in memory and starts the goroutine.
func startWriter(ctx context.Context, s *Store, hw *highwater, commits int64) (*writer, error) {
	w := &writer{
		s: s, ctx: ctx, stmts: map[string]*sql.Stmt{}, hw: hw, commits: commits,
		queue: make(chan *request, batchLimit), ended: make(chan struct{}),
	}
	var err error
	if w.tally, err = loadTally(ctx, s.write); err != nil {
		return nil, err
	}
	if w.log, err = loadEventLog(ctx, s.write); err != nil {
		return nil, err
	}
	if w.conn, err = s.write.Conn(ctx); err != nil {
		return nil, fmt.Errorf("take the writing connection: %w", err)
	}
	go w.run()
	return w, nil
}

// change commits a change of something that exists; it goes through on a full disk as long as the reserve lasts.
func (s *Store) change(ctx context.Context, do func(*tx) error) error {
	return s.w.submit(&request{ctx: ctx, do: do})
}

// create commits new work; it is refused with journal.ErrStorageFull while the disk is full.
func (s *Store) create(ctx context.Context, do func(*tx) error) error {
	return s.w.submit(&request{ctx: ctx, do: do, newWork: true})
}

// submit hands r over and waits for the truth: once r is in a batch, ctx no longer matters.
func (w *writer) submit(r *request) error {
	r.done = make(chan error, 1)
	w.mu.RLock()
	if w.stopped {
		w.mu.RUnlock()
		return ErrClosed
	}
	select {
	case w.queue <- r:
		w.mu.RUnlock()
	case <-r.ctx.Done():
		w.mu.RUnlock()
		return r.ctx.Err()
	}
	return <-r.done
}

func (w *writer) closed() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.stopped
}

// stop commits what was handed over and returns when the goroutine has ended. It says whether it was the first.
func (w *writer) stop() bool {
	w.mu.Lock()
	first := !w.stopped
	if first {
		w.stopped = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.ended
	return first
}

func (w *writer) run() {
	defer close(w.ended)
	for first := range w.queue {
		w.settle(w.gather(first))
		w.prune()
	}
	w.forgetConn()
	if err := w.hw.close(); err != nil {
		w.s.log.Error("close high-water mark", "err", err)
	}
}

// gather takes everybody who waits by now. Who gave up waiting is dropped.
func (w *writer) gather(r *request) []*request {
	if w.s.disk.behind() {
		w.mark(nil)
	}
	var batch []*request
	var full error
	asked := false
	for {
		if r.newWork && !asked {
			full, asked = w.s.disk.admit(), true
		}
		switch {
		case r.ctx.Err() != nil:
			r.done <- r.ctx.Err()
		case r.newWork && full != nil:
			r.done <- full
		default:
			batch = append(batch, r)
		}
		if len(batch) == batchLimit {
			return batch
		}
		select {
		case next, ok := <-w.queue:
			if !ok {
				return batch
			}
			r = next
		default:
			return batch
		}
	}
}

// settle commits the batch and answers everybody in it.
func (w *writer) settle(batch []*request) {
	if len(batch) == 0 {
		return
	}
	err := w.commit(batch)
	switch {
	case err == nil:
		w.answer(batch, nil)
	case refused(err):
		w.settleFull(batch, err)
	case len(batch) == 1 || primary(err) != codeCorrupt:
		w.answer(batch, err)
	default: // somebody met damage; the others need not suffer from it
		for _, r := range batch {
			w.settle([]*request{r})
		}
	}
}

// settleFull refuses new work, and tries the rest once more if the reserve could be given up for it.
func (w *writer) settleFull(batch []*request, cause error) {
	full := fmt.Errorf("%w: %w", journal.ErrStorageFull, cause)
	released := w.s.disk.refusedWrite(cause)
	var rest, out []*request
	for _, r := range batch {
		if released && !r.newWork {
			rest = append(rest, r)
		} else {
			out = append(out, r)
		}
	}
	w.answer(out, full)
	w.settle(rest)
}

func (w *writer) answer(batch []*request, err error) {
	for _, r := range batch {
		if err != nil {
			r.err = err
		}
		r.done <- r.err
	}
}

// commit runs the batch as one transaction. An error means that nothing of it was recorded; nil that each request
// holds its own result.
func (w *writer) commit(batch []*request) error {
	t := &tx{w: w}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		w.forgetConn() // whatever state it is in
		return fmt.Errorf("begin: %w", err)
	}
	good, err := w.runAll(t, batch)
	if err == nil && good > 0 {
		if err = w.seal(t, batch); err == nil {
			w.publish(batch, t.oldest)
			return nil
		}
	}
	// SQLite rolls back by itself after some errors and then says that there is no transaction (code 1).
	if _, rerr := t.exec("ROLLBACK"); rerr != nil && primary(rerr) != codeError {
		w.forgetConn()
	}
	return err
}

// runAll runs each request in a savepoint of its own, so that one that fails is undone alone. A lone request has the
// transaction for that.
func (w *writer) runAll(t *tx, batch []*request) (good int, err error) {
	if len(batch) == 1 {
		r := batch[0]
		r.fx = effects{}
		t.fx = &r.fx
		r.err = r.do(t)
		switch {
		case r.err == nil:
			return 1, nil
		case fatal(r.err):
			return 0, r.err
		}
		return 0, nil
	}
	for _, r := range batch {
		r.fx = effects{}
		t.fx = &r.fx
		if _, err := t.exec("SAVEPOINT caller"); err != nil {
			return good, err
		}
		if r.err = r.do(t); r.err == nil {
			good++
		} else if fatal(r.err) {
			return good, r.err
		} else {
			r.fx = effects{}
			if _, err := t.exec("ROLLBACK TO caller"); err != nil {
				return good, err
			}
		}
		if _, err := t.exec("RELEASE caller"); err != nil {
			return good, err
		}
	}
	return good, nil
}

// seal numbers the commit, commits, and writes the high-water mark.
func (w *writer) seal(t *tx, batch []*request) error {
	var records []record
	moved := false
	event := w.log.last()
	for _, r := range batch {
		records = append(records, r.fx.records...)
		moved = moved || len(r.fx.moves) > 0
		event = max(event, r.fx.lastEvent)
	}
	if len(records) == 0 {
		records = []record{{kind: kindCommit}}
	}
	next := w.commits + 1
	for i := range records {
		records[i].commit, records[i].event = next, event
	}
	if _, err := t.exec(qMetaCommits, next); err != nil {
		return err
	}
	if moved {
		if err := t.readOldest(); err != nil {
			return err
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.commits = next
	w.mark(records)
	return nil
}

// mark appends to the high-water mark. The commit stands even if that fails: its callers hear the truth, and new
// work is refused until the mark has caught up.
func (w *writer) mark(records []record) {
	err := w.hw.append(records)
	if err != nil && w.s.disk.refusedWrite(err) {
		err = w.hw.append(nil)
	}
	w.s.disk.marked(err)
}

// publish brings memory up to date with the commit.
func (w *writer) publish(batch []*request, oldest *ages) {
	event := int64(0)
	for _, r := range batch {
		event = max(event, r.fx.lastEvent)
	}
	w.tally.apply(batch, oldest)
	w.log.advance(event)
}

// forgetConn closes the connection, whatever state it is in; the next statement opens one again.
func (w *writer) forgetConn() {
	for _, st := range w.stmts {
		_ = st.Close() // closing the connection ends it in any case
	}
	clear(w.stmts)
	if w.conn == nil {
		return
	}
	// database/sql closes a connection for good only if the driver calls it bad.
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	w.conn = nil
}

// stmt prepares a statement once per connection.
func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if st, ok := w.stmts[query]; ok {
		return st, nil
	}
	if w.conn == nil {
		conn, err := w.s.write.Conn(w.ctx)
		if err != nil {
			return nil, err
		}
		w.conn = conn
	}
	st, err := w.conn.PrepareContext(w.ctx, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = st
	return st, nil
}

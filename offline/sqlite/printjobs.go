package sqlite

import (
	"context"
	"fmt"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
)

func scanJob(row scanner) (printer.Job, error) {
	var j printer.Job
	var created, finished int64
	var document []byte
	err := row.Scan(&j.Seq, &j.ID, &j.Printer, &j.State, &j.Reason, &j.SaleID, &j.ReprintOf, &j.Copies, &created, &finished,
		&j.Error, &document, &j.Raw)
	j.CreatedAt, j.Document = fromMillis(created), document
	if finished != 0 {
		at := fromMillis(finished)
		j.FinishedAt = &at
	}
	return j, err
}

func finishedAt(j printer.Job) int64 {
	if j.FinishedAt == nil {
		return 0
	}
	return millis(*j.FinishedAt)
}

// Create implements printer.Jobs.
func (v PrintJobs) Create(ctx context.Context, j printer.Job, e journal.Entry) (printer.Job, error) {
	err := v.s.create(ctx, func(t *tx) error {
		if err := t.entry(e); err != nil {
			return err
		}
		res, err := t.exec(qJobAdd, j.ID, j.Printer, string(j.State), string(j.Reason), j.SaleID, j.ReprintOf, j.Copies,
			millis(j.CreatedAt), finishedAt(j), j.Error, blob(j.Document), blob(j.Raw))
		if err != nil {
			return err
		}
		j.Seq, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return printer.Job{}, fmt.Errorf("create print job %s: %w", j.ID, err)
	}
	return j, nil
}

// Update implements printer.Jobs.
func (v PrintJobs) Update(ctx context.Context, j printer.Job, events ...journal.Event) error {
	err := v.s.change(ctx, func(t *tx) error {
		n, err := t.changed(qJobSet, j.ID, string(j.State), string(j.Reason), j.Error, finishedAt(j))
		if err != nil {
			return err
		}
		if n == 0 {
			return journal.ErrNotFound
		}
		return t.events(events)
	})
	if err != nil {
		return fmt.Errorf("update print job %s: %w", j.ID, err)
	}
	return nil
}

// Get implements printer.Jobs.
func (v PrintJobs) Get(ctx context.Context, id string) (printer.Job, error) {
	j, err := scanJob(v.s.read.QueryRowContext(ctx, qJob, id))
	if err != nil {
		return printer.Job{}, fmt.Errorf("read print job %s: %w", id, notFound(err))
	}
	return j, nil
}

// Open implements printer.Jobs.
func (v PrintJobs) Open(ctx context.Context, name string) ([]printer.Job, error) {
	rows, err := v.s.read.QueryContext(ctx, qJobsOpen, name)
	if err != nil {
		return nil, fmt.Errorf("read open print jobs: %w", err)
	}
	return collect(rows, scanJob)
}

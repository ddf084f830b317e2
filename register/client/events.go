package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"storeagent/register/wire"
)

const (
	maxLine      = 1 << 20          // of one event, in bytes
	silenceLimit = 40 * time.Second // the agent beats every 15 seconds
	minPause     = 250 * time.Millisecond
	maxPause     = 10 * time.Second
)

// handlerError tells the caller's own error from a broken connection.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// Events calls f for each event after the given id, in order, one at a time, and goes on across broken connections
// and restarts of the agent without losing or repeating one. after below zero begins with what happens from now on.
// No types means all the token may hear. It ends with ctx, with f's first error, or where the agent refuses the
// token or the request for good; that error is a *Problem.
func (c *Client) Events(ctx context.Context, types []string, after int64, f func(wire.Event) error) error {
	pause := minPause
	for {
		before := after
		err := c.listen(ctx, types, &after, f)
		var refused *Problem
		var own *handlerError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &own):
			return own.err
		case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
			return err
		}
		if after != before {
			pause = minPause
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter, no secret
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// listen reads one connection to its end.
func (c *Client) listen(ctx context.Context, types []string, after *int64, f func(wire.Event) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := request{method: http.MethodGet, path: "/v1/events", query: url.Values{}, accept: "text/event-stream", header: http.Header{}}
	if len(types) > 0 {
		r.query.Set("types", strings.Join(types, ","))
	}
	if *after >= 0 {
		r.header.Set("Last-Event-ID", strconv.FormatInt(*after, 10))
	}
	silence := time.AfterFunc(silenceLimit, cancel)
	defer silence.Stop()
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	in := bufio.NewReader(answer.Body)
	e := wire.Event{ID: -1}
	var data []string
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		silence.Reset(silenceLimit)
		if line == "" {
			if len(data) > 0 {
				e.Data = []byte(strings.Join(data, "\n"))
				if err := f(e); err != nil {
					return &handlerError{err}
				}
			}
			if e.ID >= 0 { // the greeting has an id too: where the stream began
				*after = e.ID
			}
			e, data = wire.Event{ID: -1}, nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			if e.ID, err = strconv.ParseInt(value, 10, 64); err != nil {
				return fmt.Errorf("event id: %w", err)
			}
		case "event":
			e.Type = value
		case "data":
			data = append(data, value)
		}
	}
}

// readLine reads one line within its limit, without its end.
func readLine(in *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		part, err := in.ReadSlice('\n')
		b.Write(part)
		if b.Len() > maxLine {
			return "", fmt.Errorf("event of more than %d bytes", maxLine)
		}
		if err == nil {
			return strings.TrimRight(b.String(), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // a stream never ends by itself
			}
			return "", err
		}
	}
}

package zvt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
	"storeagent/payments/terminaltest"
	"storeagent/payments/wireline"
)

// peer is the far end of a line, written out byte by byte.
type peer struct {
	t    *testing.T
	conn net.Conn
}

func (p peer) put(parts ...[]byte) {
	for _, b := range parts {
		if _, err := p.conn.Write(b); err != nil {
			p.t.Errorf("peer writes %X: %v", b, err)
		}
	}
}

func (p peer) want(what ...byte) {
	got := make([]byte, len(what))
	if _, err := io.ReadFull(p.conn, got); err != nil || !bytes.Equal(got, what) {
		p.t.Errorf("peer got %X, want %X (%v)", got, what, err)
	}
}

func (p peer) frame(text string) { p.put(frame(terminaltest.Unhex(p.t, text))) }

func (p peer) wantFrame(text string) { p.want(frame(terminaltest.Unhex(p.t, text))...) }

// overPipe runs ours against theirs in a bubble.
func overPipe(t *testing.T, theirs func(peer), ours func(ctx context.Context, u *wireline.Pump)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		u := wireline.StartPump(a)
		done := make(chan struct{})
		go func() { defer close(done); theirs(peer{t, b}) }()
		ours(t.Context(), u)
		<-done
		u.Stop()
		_ = b.Close()
	})
}

func after(d time.Duration) { <-time.After(d) }

func TestSerialSend(t *testing.T) {
	const pay = "060100"
	for _, c := range []struct {
		name   string
		peer   func(p peer)
		copies int
		err    error
	}{
		{"taken", func(p peer) { p.wantFrame(pay); p.put([]byte{ack}) }, 1, nil},
		{"NAK twice", func(p peer) {
			p.wantFrame(pay)
			p.put([]byte{nak})
			p.wantFrame(pay)
			p.put([]byte{nak})
			p.wantFrame(pay)
			p.put([]byte{ack})
		}, 3, nil},
		{"NAK for ever", func(p peer) {
			for range 3 {
				p.wantFrame(pay)
				p.put([]byte{nak})
			}
		}, 3, errNoAck},
		{"silence", func(p peer) {
			for range 3 {
				p.wantFrame(pay)
			}
		}, 3, errNoAck},
		{"noise before ACK", func(p peer) { p.wantFrame(pay); p.put([]byte{'x', 0x10, 'y'}, []byte{ack}) }, 1, nil},
		{"answer instead of ACK", func(p peer) { p.wantFrame(pay); p.frame("800000"); p.want(ack) }, 1, nil},
		{"crossing message before ACK", func(p peer) {
			p.wantFrame(pay)
			p.frame("04ff0117")
			p.want(ack)
			p.put([]byte{ack})
		}, 1, nil},
		{"broken frame before ACK", func(p peer) {
			p.wantFrame(pay)
			p.put([]byte{dle, stx, 1, 2, dle, etx, 0, 0})
			p.want(nak)
			p.put([]byte{ack})
		}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			overPipe(t, c.peer, func(ctx context.Context, u *wireline.Pump) {
				l := &serialLine{pump: u, answered: true}
				copies, err := l.send(ctx, apdu{cmd: cmdPay})
				if copies != c.copies || !errors.Is(err, c.err) {
					t.Errorf("%d copies, %v", copies, err)
				}
			})
		})
	}
}

func TestSerialReceive(t *testing.T) {
	const line = "06d10140"
	overPipe(t, func(p peer) {
		p.frame(line)
		p.want(ack)
		p.frame(line) // our ACK got lost on the way, and we are slow
		p.wantFrame("800000")
		p.want(ack)
		p.frame(line) // once more, instead of the ACK
		p.want(ack)
		p.put([]byte{ack})
		p.frame(line) // the next empty line
		p.want(ack)
		p.put(frame(terminaltest.Unhex(t, "060f00"))[:5])
		p.want(nak) // T1
		p.frame("060f00")
		p.want(ack)
	}, func(ctx context.Context, u *wireline.Pump) {
		l := &serialLine{pump: u, answered: true}
		next := func(cmd uint16) {
			if a, err := l.next(ctx, time.Time{}, nil); err != nil || a.cmd != cmd {
				t.Errorf("%s, %v, want %04X", a, err, cmd)
			}
		}
		next(msgPrintLine)
		after(time.Second)
		if copies, err := l.send(ctx, answerOK()); copies != 1 || err != nil {
			t.Errorf("%d copies, %v", copies, err)
		}
		next(msgPrintLine)
		next(msgCompletion)
		if _, err := l.next(ctx, time.Now().Add(time.Second), nil); !errors.Is(err, wireline.ErrSilent) {
			t.Errorf("at the end: %v", err)
		}
	})
}

func TestTCPReceivesAnyPieces(t *testing.T) {
	all := terminaltest.Unhex(t, "800000 04ff0117 060f00")
	for size := 1; size <= len(all); size++ {
		overPipe(t, func(p peer) {
			for b := all; len(b) > 0; {
				n := min(size, len(b))
				p.put(b[:n])
				b = b[n:]
			}
		}, func(ctx context.Context, u *wireline.Pump) {
			l := &tcpLine{pump: u}
			for _, want := range []uint16{0x8000, msgIntermediate, msgCompletion} {
				if a, err := l.next(ctx, time.Time{}, nil); err != nil || a.cmd != want {
					t.Errorf("pieces of %d: %s, %v, want %04X", size, a, err, want)
				}
			}
		})
	}
}

// events accepts everything and counts.
type events struct {
	full    bool // the disk takes no receipt
	told    []payments.Outcome
	prompts []payments.Prompt
}

func (e *events) Sending(payments.Baseline) error        { return nil }
func (e *events) Prompt(p payments.Prompt)               { e.prompts = append(e.prompts, p) }
func (e *events) CommitOutcome(o payments.Outcome) error { e.told = append(e.told, o); return nil }
func (e *events) CommitReceipt(payments.Receipt) error {
	if e.full {
		return errors.New("disk is full")
	}
	return nil
}

// dialogue registers, answers the question for the last payment with "nothing known", and then lets peer go on where
// the money command must come.
func dialogue(t *testing.T, serial bool, far func(p peer), check func(e *events, err error)) {
	t.Helper()
	dialogueDisk(t, serial, false, far, check)
}

func dialogueDisk(t *testing.T, serial, full bool, far func(p peer), check func(e *events, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = theirs.Close() }()
		first := true
		term, err := New(Config{
			Name: "front", Serial: serial, Options: Options{Password: "123456", TimeoutS: 900},
			Open: func(context.Context) (port.Port, error) {
				if !first {
					return nil, errors.New("no second line")
				}
				first = false
				return ours, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = term.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		p := peer{t, theirs}
		if serial {
			p.wantFrame("06000412345638")
			p.put([]byte{ack})
			for _, m := range []string{"800000", "060f00"} {
				p.frame(m)
				p.want(ack)
			}
			p.wantFrame("800000")
			p.put([]byte{ack})
		} else {
			p.want(terminaltest.Unhex(t, "06000412345638")...)
			p.put(terminaltest.Unhex(t, "800000060f00"))
			p.want(0x80, 0, 0)
		}
		synctest.Wait()
		if term.Info().State != devices.Ready {
			t.Fatalf("%+v", term.Info())
		}
		through := make(chan struct{})
		go func() {
			defer close(through)
			if serial {
				p.wantFrame("0620051234560303")
				p.put([]byte{ack})
				p.frame("848300")
				p.want(ack)
			} else {
				p.want(terminaltest.Unhex(t, "0620051234560303")...)
				p.put(terminaltest.Unhex(t, "848300"))
			}
			far(p)
		}()
		e := events{full: full}
		a := eur(t, "10.16")
		err = term.Do(ctx, payments.Txn{PaymentID: "p", Kind: payments.DoSale, Amount: a}, &e)
		<-through
		check(&e, err)
	})
}

const pay1016 = "06010a04000000001016490978"

func TestTimeLimits(t *testing.T) {
	const result = "040f09270004000000001016"
	for _, c := range []struct {
		name     string
		far      func(p peer)
		approved bool
	}{
		{"no answer in T3", func(p peer) { p.want(terminaltest.Unhex(p.t, pay1016)...) }, false},
		{"nothing in T4", func(p peer) { p.want(terminaltest.Unhex(p.t, pay1016)...); p.put(terminaltest.Unhex(p.t, "800000")) }, false},
		{"04 FF begins T4 anew", func(p peer) {
			p.want(terminaltest.Unhex(p.t, pay1016)...)
			p.put(terminaltest.Unhex(p.t, "800000"))
			for range 3 {
				after(170 * time.Second)
				p.put(terminaltest.Unhex(p.t, "04ff0117"))
				p.want(0x80, 0, 0)
			}
			p.finish(result)
		}, true},
		{"04 FF brings a longer T4", func(p peer) {
			p.want(terminaltest.Unhex(p.t, pay1016)...)
			p.put(terminaltest.Unhex(p.t, "80000004ff020A10"))
			p.want(0x80, 0, 0)
			after(9 * time.Minute)
			p.finish(result)
		}, true},
		{"result before the command was taken is not ours", func(p peer) {
			p.want(terminaltest.Unhex(p.t, pay1016)...)
			p.put(terminaltest.Unhex(p.t, result))
			p.want(0x84, codeImpossible, 0)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, false, c.far, func(e *events, err error) {
				switch {
				case c.approved && (err != nil || len(e.told) != 1):
					t.Errorf("%v, %+v", err, e.told)
				case !c.approved && (err == nil || errors.Is(err, payments.ErrNotSent) || len(e.told) != 0):
					t.Errorf("%v, %+v", err, e.told)
				}
			})
		})
	}
}

// finish sends the result and the completion.
func (p peer) finish(result string) {
	p.put(terminaltest.Unhex(p.t, result))
	p.want(0x80, 0, 0)
	p.put(terminaltest.Unhex(p.t, "060f00"))
	p.want(0x80, 0, 0)
}

// A refusal proves that nothing began only where the command went out once.
func TestRefusalAfterRepeatIsNoProof(t *testing.T) {
	for _, repeat := range []bool{false, true} {
		dialogue(t, true, func(p peer) {
			p.wantFrame(pay1016)
			if repeat {
				p.put([]byte{nak})
				p.wantFrame(pay1016)
			}
			p.put([]byte{ack})
			p.frame("849c00")
			p.want(ack)
		}, func(_ *events, err error) {
			if err == nil || errors.Is(err, payments.ErrNotSent) == repeat {
				t.Errorf("repeated %v: %v", repeat, err)
			}
		})
	}
}

func TestOwnTextOfPrompts(t *testing.T) {
	dialogue(t, false, func(p peer) {
		p.want(terminaltest.Unhex(t, pay1016)...)
		p.put(terminaltest.Unhex(t, "800000 04ff0b 0A 00 06 07 24 05 07 03 41 42 43"))
		p.want(0x80, 0, 0)
		p.finish("040f09270004000000001016")
	}, func(e *events, err error) {
		if err != nil || len(e.prompts) != 1 || e.prompts[0] != (payments.Prompt{Code: "insert_card", Text: "ABC"}) {
			t.Errorf("%v %+v", err, e.prompts)
		}
	})
}

// Money in another currency than asked for is refused, and then asked about.
func TestApprovalInAnotherCurrency(t *testing.T) {
	dialogue(t, false, func(p peer) {
		p.want(terminaltest.Unhex(t, pay1016)...)
		p.put(terminaltest.Unhex(t, "800000 040f0c 2700 04000000001016 490756"))
		p.want(0x84, codeImpossible, 0)
	}, func(e *events, err error) {
		if err == nil || errors.Is(err, payments.ErrNotSent) || len(e.told) != 0 {
			t.Errorf("%v %+v", err, e.told)
		}
	})
}

// An approval after another end stays on record, so that it is asked about.
func TestContradictions(t *testing.T) {
	const yes, no = "040f09270004000000001016", "040f022705"
	for _, c := range [][2]string{{yes, no}, {no, yes}} {
		dialogue(t, false, func(p peer) {
			p.want(terminaltest.Unhex(t, pay1016)...)
			p.put(terminaltest.Unhex(t, "800000"))
			p.put(terminaltest.Unhex(t, c[0]))
			p.want(0x80, 0, 0)
			p.finish(c[1])
		}, func(e *events, err error) {
			if err == nil || errors.Is(err, payments.ErrNotSent) || e.told[len(e.told)-1].State != payments.Approved {
				t.Errorf("%v %+v", err, e.told)
			}
		})
	}
}

// A slip is on disk before its last line is acknowledged, and at the latest before the end is.
func TestSlipIsCommittedBeforeItsEnd(t *testing.T) {
	for _, last := range []string{"06d10181", "060f00"} {
		dialogueDisk(t, false, true, func(p peer) {
			p.want(terminaltest.Unhex(t, pay1016)...)
			p.put(terminaltest.Unhex(t, "800000 040f092700040000000010 16"))
			p.want(0x80, 0, 0)
			p.put(terminaltest.Unhex(t, "06d1020041"))
			p.want(0x80, 0, 0)
			p.put(terminaltest.Unhex(t, last))
			p.want(0x84, codeImpossible, 0)
		}, func(e *events, err error) {
			if err == nil || errors.Is(err, payments.ErrNotSent) || len(e.told) != 1 {
				t.Errorf("%v %+v", err, e.told)
			}
		})
	}
}

// What a terminal sends while nothing runs is answered and changes nothing.
func TestUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		term, err := New(Config{Name: "front", Options: Options{Password: "123456"}, Open: func(context.Context) (port.Port, error) { return ours, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = term.Run(ctx) }()
		p := peer{t, theirs}
		p.want(terminaltest.Unhex(t, "06000412345638")...)
		p.put(terminaltest.Unhex(t, "800000060f00"))
		p.want(0x80, 0, 0)
		for _, c := range []struct{ in, out string }{
			{"040f09270004000000001016", "848300"}, // nobody can commit it
			{"040108aa2611210c101010", "800000"},
			{"04ff0117", "800000"}, {"060f00", "800000"}, {"061e016c", "800000"}, {"06d10140", "84cc00"}, {"0a0b00", "848300"},
		} {
			p.put(terminaltest.Unhex(t, c.in))
			p.want(terminaltest.Unhex(t, c.out)...)
		}
		cancel()
		<-ended
		_ = theirs.Close()
	})
}

// FuzzConversation lets a terminal answer a payment with anything at all.
func FuzzConversation(f *testing.F) {
	for _, text := range []string{
		"800000 04ff0117 040f092700040000000010 16 06d1020041 06d10181 060f00", "849c00", "800000 061e016c", "800000 060f00",
		"800000 040f092700040000000010 16 061e01cc", "800000 06d3 06 0604 1f070102 060f00", "800000 ff ff ff ff ff",
	} {
		f.Add(terminaltest.Unhex(f, text), false)
		f.Add(frame(terminaltest.Unhex(f, "800000")), true)
	}
	f.Fuzz(func(t *testing.T, said []byte, serial bool) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			term, err := New(Config{Name: "front", Serial: serial, Options: Options{Password: "123456", Print: true}})
			if err != nil {
				t.Fatal(err)
			}
			u := wireline.StartPump(ours)
			s := &session{t: term}
			if serial {
				s.line = &serialLine{pump: u, answered: true}
			} else {
				s.line = &tcpLine{pump: u}
			}
			done := make(chan struct{}, 2)
			go func() { _, _ = io.Copy(io.Discard, theirs); done <- struct{}{} }()
			go func() {
				// A baseline that cannot be told, then what the fuzzer says.
				if serial {
					_, _ = theirs.Write(append([]byte{ack}, frame([]byte{0x84, 0x83, 0})...))
					_, _ = theirs.Write([]byte{ack})
				} else {
					_, _ = theirs.Write([]byte{0x84, 0x83, 0})
				}
				_, _ = theirs.Write(said)
				_ = theirs.Close()
				done <- struct{}{}
			}()
			cmd := apdu{cmdPay, terminaltest.Unhex(t, pay1016)[3:]}
			var e events
			_, err = s.pay(t.Context(), cmd, payments.Txn{Kind: payments.DoSale, Amount: eur(t, "10.16")}, &e, nil)
			if err == nil && len(e.told) == 0 {
				t.Error("nil without an outcome")
			}
			if errors.Is(err, payments.ErrNotSent) && len(e.told) != 0 {
				t.Errorf("an outcome, yet not sent: %v", err)
			}
			u.Stop()
			<-done
			<-done
		})
	})
}

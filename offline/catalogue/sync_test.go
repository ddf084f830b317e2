package catalogue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
)

// events collects what was told.
type events struct {
	mu   sync.Mutex
	list []catalogue.Status
}

func (e *events) Append(_ context.Context, list ...journal.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range list {
		var st catalogue.Status
		if ev.Type != "catalog" || json.Unmarshal(ev.Data, &st) != nil {
			return fmt.Errorf("strange event %s %s", ev.Type, ev.Data)
		}
		e.list = append(e.list, st)
	}
	return nil
}

func (e *events) told() []catalogue.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func newCatalogue(t *testing.T, cloud *cataloguetest.Cloud, store catalogue.Store, change ...func(*catalogue.Config)) *catalogue.Catalogue {
	t.Helper()
	cfg := catalogue.Config{Source: cloud, Store: store, Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS", Currency: "USD"}
	for _, f := range change {
		f(&cfg)
	}
	c, err := catalogue.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runFor runs c for some time of the bubble.
func runFor(t *testing.T, c *catalogue.Catalogue, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}

func names(t *testing.T, s catalogue.Store, n int) map[string]string {
	t.Helper()
	keys := []string{}
	for i := range n {
		keys = append(keys, sku(i))
	}
	list, err := s.ItemsBySKU(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range list {
		out[i.SKU] = i.Name
	}
	return out
}

func sku(i int) string { return fmt.Sprintf("SKU-%05d", i) }

func stocked(n int) *cataloguetest.Cloud {
	cloud := cataloguetest.NewCloud()
	for i := range n {
		cloud.SetItem(sku(i), "first")
	}
	return cloud
}

func feed(c *catalogue.Catalogue, f catalogue.Feed) catalogue.FeedStatus {
	for _, s := range c.Status().Items {
		if s.Kind == f {
			return s
		}
	}
	return catalogue.FeedStatus{}
}

// TestFirstFetchAndChanges: blank since first, skip by rows received, then only what changed, by the mark as it came.
func TestFirstFetchAndChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store, told := stocked(1234), cataloguetest.NewMemory(), &events{}
		cloud.PageLimit = 100 // silently less than asked for
		c := newCatalogue(t, cloud, store, func(cfg *catalogue.Config) { cfg.Events = told })
		if st := feed(c, catalogue.Items); st.State != catalogue.Waiting || st.Complete {
			t.Errorf("before: %+v", st)
		}
		runFor(t, c, time.Minute)
		if got := names(t, store, 1234); len(got) != 1234 {
			t.Fatalf("%d items", len(got))
		}
		if n := store.Largest(); n > 200 {
			t.Errorf("a commit of %d rows keeps sales waiting", n)
		}
		st := feed(c, catalogue.Items)
		if st.State != catalogue.Fresh || !st.Complete || st.Rows != 1234 || st.Received != 1234 || !st.Full || st.SyncedAt == nil || st.NextAt == nil {
			t.Errorf("after: %+v", st)
		}
		next := 0
		for _, q := range cloud.Asked() {
			if q.Feed != catalogue.Items {
				continue
			}
			if q.Since != "" || q.First <= 0 || q.Skip != max(0, next-10) {
				t.Errorf("asked %+v, want skip %d", q, max(0, next-10))
			}
			next = min(q.Skip+100, 1234)
		}
		growing := 0
		for _, s := range told.told() {
			if s.Items[0].State == catalogue.Syncing {
				if s.Items[0].Received < growing {
					t.Errorf("progress went from %d to %d", growing, s.Items[0].Received)
				}
				growing = s.Items[0].Received
			}
		}
		if growing == 0 {
			t.Error("no event told of progress")
		}

		cloud.SetItem(sku(7), "second")
		cloud.SetItem(sku(1234), "new")
		before := len(cloud.Asked())
		c.SyncNow(false)
		runFor(t, c, time.Minute)
		if got := names(t, store, 1235); got[sku(7)] != "second" || got[sku(1234)] != "new" || got[sku(8)] != "first" {
			t.Errorf("changes: %q %q %q", got[sku(7)], got[sku(1234)], got[sku(8)])
		}
		for _, q := range cloud.Asked()[before:] {
			if q.Since == "" {
				t.Errorf("asked from the beginning again: %+v", q)
			}
		}
		if st := feed(c, catalogue.Items); st.Received != 2 || st.Full || st.Rows != 1235 {
			t.Errorf("after changes: %+v", st)
		}
	})
}

// counting looks at the catalogue while the store counts its rows.
type counting struct {
	catalogue.Store
	look func()
}

func (s counting) Counts(ctx context.Context) (map[catalogue.Feed]int, error) {
	s.look()
	return s.Store.Counts(ctx)
}

// TestEndedPassShowsItsRows: at no moment does the status tell of a whole catalogue without rows.
func TestEndedPassShowsItsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *catalogue.Catalogue
		c = newCatalogue(t, stocked(30), counting{cataloguetest.NewMemory(), func() {
			if st := feed(c, catalogue.Items); st.Complete && st.Rows != 30 {
				t.Errorf("%+v", st)
			}
		}})
		runFor(t, c, time.Minute)
		if st := feed(c, catalogue.Items); !st.Complete || st.Rows != 30 {
			t.Errorf("in the end %+v", st)
		}
	})
}

// TestSyncNowDuringAPass: what changed behind the place that the pass has come to is looked for right after it.
func TestSyncNowDuringAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := stocked(30)
		var c *catalogue.Catalogue
		asked := 0
		cloud.Before = func(_ int, q catalogue.Query) error {
			if q.Feed == catalogue.Items {
				if asked++; asked == 1 {
					c.SyncNow(false)
				}
			}
			return nil
		}
		c = newCatalogue(t, cloud, cataloguetest.NewMemory())
		runFor(t, c, time.Minute)
		if asked != 2 {
			t.Errorf("asked %d times, want once again", asked)
		}
	})
}

// TestResumesAtEveryPage stops the agent at every request and starts it again over the same store: nothing is lost,
// and nothing but the page under way is asked for twice.
func TestResumesAtEveryPage(t *testing.T) {
	for stopAt := 1; stopAt <= 12; stopAt++ {
		synctest.Test(t, func(t *testing.T) {
			cloud, store := stocked(500), cataloguetest.NewMemory()
			cloud.PageLimit = 60
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cloud.Before = func(n int, _ catalogue.Query) error {
				if n == stopAt {
					cancel()
				}
				return nil
			}
			if err := newCatalogue(t, cloud, store).Run(ctx); err != nil {
				t.Fatal(err)
			}
			stopped := cloud.Asked()[len(cloud.Asked())-1]
			cloud.Before = nil
			c := newCatalogue(t, cloud, store)
			runFor(t, c, time.Minute)
			if got := names(t, store, 500); len(got) != 500 {
				t.Errorf("stopped at %d: %d items", stopAt, len(got))
			}
			seen := map[catalogue.Query]int{}
			for _, q := range cloud.Asked() {
				if seen[q]++; seen[q] > 1 && q != stopped {
					t.Errorf("stopped at %d: asked twice for %+v", stopAt, q)
				}
			}
		})
	}
}

// TestStatusAfterARestart: what is here is known to be here also without a way to the cloud, and is not fetched again
// for the restart alone.
func TestStatusAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(30), cataloguetest.NewMemory()
		runFor(t, newCatalogue(t, cloud, store), time.Minute)
		asked := len(cloud.Asked())
		c := newCatalogue(t, cloud, store, func(cfg *catalogue.Config) { cfg.Online = func() bool { return false } })
		runFor(t, c, time.Minute)
		if st := feed(c, catalogue.Items); !c.Status().Complete || st.State != catalogue.Fresh || st.Rows != 30 || st.SyncedAt == nil {
			t.Errorf("offline after a restart: %+v", st)
		}
		runFor(t, newCatalogue(t, cloud, store), 10*time.Minute)
		if n := len(cloud.Asked()); n != asked {
			t.Errorf("%d requests for a restart", n-asked)
		}
		runFor(t, newCatalogue(t, cloud, store), 10*time.Minute)
		if n := len(cloud.Asked()); n != asked+5 {
			t.Errorf("%d requests when it was time, want one for each feed", n-asked)
		}
	})
}

// TestDiskFailsAtEveryWrite: a write that fails costs time only.
func TestDiskFailsAtEveryWrite(t *testing.T) {
	for failAt := 1; failAt <= 9; failAt++ {
		synctest.Test(t, func(t *testing.T) {
			cloud, store := stocked(300), cataloguetest.NewMemory()
			cloud.PageLimit = 60
			cloud.Before = func(n int, _ catalogue.Query) error {
				if n == failAt {
					store.Fail = journal.ErrStorageFull
				}
				return nil
			}
			runFor(t, newCatalogue(t, cloud, store), 10*time.Minute)
			if got := names(t, store, 300); len(got) != 300 {
				t.Errorf("failed at %d: %d items", failAt, len(got))
			}
		})
	}
}

// TestListingMovesWhileItIsRead changes and deletes rows between pages, more and fewer than a page repeats, so that the
// rest of the listing moves up. Every row must be here in the end, in its newest form.
func TestListingMovesWhileItIsRead(t *testing.T) {
	for _, moved := range []int{1, 5, 9, 10, 11, 60, 150} {
		for _, at := range []int{2, 4, 7} {
			synctest.Test(t, func(t *testing.T) {
				cloud, store := stocked(800), cataloguetest.NewMemory()
				cloud.PageLimit = 100
				items := 0
				cloud.Before = func(_ int, q catalogue.Query) error {
					if q.Feed != catalogue.Items {
						return nil
					}
					if items++; items == at {
						for i := range moved {
							if i%3 == 2 {
								cloud.Delete(catalogue.Items, sku(i*2))
							} else {
								cloud.SetItem(sku(i*2), "changed")
							}
						}
					}
					return nil
				}
				c := newCatalogue(t, cloud, store)
				runFor(t, c, 5*time.Minute)
				got := names(t, store, 800)
				for i := range 800 {
					want := "first"
					if n := i / 2; i%2 == 0 && n < moved {
						if want = "changed"; n%3 == 2 {
							continue // gone; it may be here until the next full pass
						}
					}
					if got[sku(i)] != want {
						t.Errorf("%d moved before page %d: %s is %q, want %q", moved, at, sku(i), got[sku(i)], want)
					}
				}
				if !feed(c, catalogue.Items).Complete {
					t.Errorf("not complete")
				}
			})
		}
	}
}

// TestListingThatNeverRests: where the listing moves before each page the pass ends all the same.
func TestListingThatNeverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(600), cataloguetest.NewMemory()
		cloud.PageLimit = 50
		n := 0
		cloud.Before = func(_ int, q catalogue.Query) error {
			if q.Feed == catalogue.Items {
				for range 120 {
					n++
					cloud.SetItem(sku(n%600), "busy")
				}
			}
			return nil
		}
		c := newCatalogue(t, cloud, store)
		runFor(t, c, 10*time.Minute)
		asked := len(cloud.Asked())
		cloud.Before = nil
		runFor(t, c, 26*time.Hour) // the next full pass comes soon
		if got := names(t, store, 600); len(got) != 600 {
			t.Errorf("%d items after %d pages", len(got), asked)
		}
	})
}

// TestOneRowPages: a cloud that gives a row at a time still comes to an end.
func TestOneRowPages(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 10, 11} {
		synctest.Test(t, func(t *testing.T) {
			cloud, store := stocked(45), cataloguetest.NewMemory()
			cloud.PageLimit = limit
			runFor(t, newCatalogue(t, cloud, store), 2*time.Minute)
			if got := names(t, store, 45); len(got) != 45 {
				t.Errorf("%d rows a page: %d items", limit, len(got))
			}
		})
	}
}

// TestWhatWasDeletedGoes: no listing of changes tells of it, the weekly full pass finds it.
func TestWhatWasDeletedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(450), cataloguetest.NewMemory()
		c := newCatalogue(t, cloud, store)
		runFor(t, c, time.Minute)
		for i := range 430 {
			cloud.Delete(catalogue.Items, sku(i))
		}
		runFor(t, c, 8*24*time.Hour)
		if got := names(t, store, 450); len(got) != 20 {
			t.Errorf("%d items, want 20", len(got))
		}
		cloud.SetItem(sku(3), "back")
		cloud.Delete(catalogue.Items, sku(430))
		c.SyncNow(true) // a person does not want to wait for the week's end
		runFor(t, c, time.Minute)
		if got := names(t, store, 450); len(got) != 20 || got[sku(3)] != "back" || got[sku(430)] != "" {
			t.Errorf("after a full look: %d items", len(got))
		}
		// A cloud that suddenly shows nothing at all is not believed.
		cloud.Delete(catalogue.Items, sku(3))
		for i := 430; i < 450; i++ {
			cloud.Delete(catalogue.Items, sku(i))
		}
		runFor(t, c, 8*24*time.Hour)
		if got := names(t, store, 450); len(got) != 20 {
			t.Errorf("%d items after an empty answer", len(got))
		}
	})
}

// TestEmptyCloud: a feed without rows is complete, not waiting.
func TestEmptyCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalogue(t, cataloguetest.NewCloud(), cataloguetest.NewMemory())
		runFor(t, c, time.Minute)
		for _, s := range c.Status().Items {
			if s.State != catalogue.Fresh || !s.Complete || s.Rows != 0 {
				t.Errorf("%+v", s)
			}
		}
		if !c.Status().Complete {
			t.Error("not complete")
		}
	})
}

// TestQuietAtNight counts the requests of a day: often while the shop is open, rarely at night.
func TestQuietAtNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone, err := time.LoadLocation("America/Chicago")
		if err != nil {
			t.Fatal(err)
		}
		cloud, store := stocked(3), cataloguetest.NewMemory()
		byHour := map[int]int{}
		cloud.Before = func(_ int, q catalogue.Query) error {
			if q.Feed == catalogue.Items {
				byHour[time.Now().In(zone).Hour()]++
			}
			return nil
		}
		c := newCatalogue(t, cloud, store, func(cfg *catalogue.Config) { cfg.Location, cfg.Every = zone, 15*time.Minute })
		runFor(t, c, time.Minute)
		clear(byHour)
		runFor(t, c, 10*24*time.Hour)
		day, night := 0, 0
		for h, n := range byHour {
			if h >= 23 || h < 6 {
				night += n
			} else {
				day += n
			}
		}
		if day < 10*17*3 || night > 10*5 || night == 0 {
			t.Errorf("%d by day, %d by night: %v", day, night, byHour)
		}
		if byHour[6] < 10 {
			t.Errorf("%d looks before opening in ten days", byHour[6])
		}
	})
}

// TestSalesGoFirst: while sales wait nothing is fetched, but not for ever; without a way to the cloud nothing is.
func TestSalesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := stocked(3)
		busy, online := true, true
		var mu sync.Mutex
		set := func(b, o bool) { mu.Lock(); busy, online = b, o; mu.Unlock() }
		c := newCatalogue(t, cloud, cataloguetest.NewMemory(), func(cfg *catalogue.Config) {
			cfg.Busy = func() bool { mu.Lock(); defer mu.Unlock(); return busy }
			cfg.Online = func() bool { mu.Lock(); defer mu.Unlock(); return online }
		})
		runFor(t, c, 1900*time.Millisecond)
		if n := len(cloud.Asked()); n != 0 {
			t.Errorf("%d requests while sales wait", n)
		}
		runFor(t, c, 3*time.Second)
		if n := len(cloud.Asked()); n != 1 {
			t.Errorf("%d requests beside a queue that stands still", n)
		}
		set(false, false)
		runFor(t, c, time.Hour)
		if n := len(cloud.Asked()); n != 1 {
			t.Errorf("%d requests without a way to the cloud", n)
		}
		set(false, true)
		runFor(t, c, time.Minute)
		if !c.Status().Complete {
			t.Error("not complete once the way was open")
		}
	})
}

// TestRefusalsPauseOneFeed: a missing permission stops that feed alone, is shown, and is tried again.
func TestRefusalsPauseOneFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(30), cataloguetest.NewMemory()
		cloud.Set(catalogue.Customers, "1", catalogue.Batch{Customers: []catalogue.Customer{{ID: "1", FullName: "Ada"}}})
		denied, asked := true, 0
		cloud.Before = func(_ int, q catalogue.Query) error {
			if q.Feed == catalogue.Customers {
				if asked++; denied {
					return fmt.Errorf("read customer: %w", catalogue.ErrNotAllowed)
				}
			}
			return nil
		}
		c := newCatalogue(t, cloud, store)
		runFor(t, c, 30*time.Minute)
		st := feed(c, catalogue.Customers)
		if st.State != catalogue.Paused || st.Error == nil || st.Error.Code != "not_allowed" || asked != 1 {
			t.Errorf("%+v after %d tries", st, asked)
		}
		if p := c.Problems(); len(p) != 1 || p[0].Code != "catalog_not_allowed" || p[0].Hint == "" {
			t.Errorf("problems %+v", p)
		}
		if st := feed(c, catalogue.Items); st.State != catalogue.Fresh {
			t.Errorf("items: %+v", st)
		}
		denied = false
		runFor(t, c, 40*time.Minute)
		if st := feed(c, catalogue.Customers); st.State != catalogue.Fresh || st.Rows != 1 || len(c.Problems()) != 0 {
			t.Errorf("%+v, %+v", st, c.Problems())
		}
	})
}

// TestFaultsBackOff: a cloud that fails is asked less and less, and the copy answers meanwhile.
func TestFaultsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(30), cataloguetest.NewMemory()
		c := newCatalogue(t, cloud, store)
		runFor(t, c, time.Minute)
		cloud.Before = func(int, catalogue.Query) error { return fmt.Errorf("read: %w", offline.ErrSignedOut) }
		before := len(cloud.Asked())
		runFor(t, c, 24*time.Hour)
		if n := len(cloud.Asked()) - before; n > 5*60 {
			t.Errorf("%d requests to a cloud that fails all day", n)
		}
		if st := feed(c, catalogue.Items); st.State != catalogue.Stale || st.Error == nil || st.Error.Code != "signed_out" || st.Rows != 30 {
			t.Errorf("%+v", st)
		}
		found, err := c.FindItems(t.Context(), catalogue.ItemQuery{SKU: sku(3)})
		if err != nil || len(found) != 1 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// TestForgottenMark: a cloud that does not know our mark any more is read from the beginning after some hours.
func TestForgottenMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(30), cataloguetest.NewMemory()
		c := newCatalogue(t, cloud, store)
		runFor(t, c, time.Minute)
		old := ""
		cloud.Before = func(_ int, q catalogue.Query) error {
			if q.Feed == catalogue.Items && q.Since != "" && (old == "" || q.Since == old) {
				old = q.Since
				return errors.New("VALIDATION: Since: unknown")
			}
			return nil
		}
		cloud.SetItem(sku(3), "second")
		runFor(t, c, 3*time.Hour) // the night's first look fails, and a few after it
		if got := names(t, store, 30); got[sku(3)] != "first" || old == "" {
			t.Errorf("%q", got[sku(3)])
		}
		runFor(t, c, 12*time.Hour)
		if got := names(t, store, 30); got[sku(3)] != "second" || len(got) != 30 {
			t.Errorf("%q of %d after the mark was forgotten", got[sku(3)], len(got))
		}
		if st := feed(c, catalogue.Items); st.State != catalogue.Fresh {
			t.Errorf("%+v", st)
		}
	})
}

// TestNoMarks: where the cloud has no since, every look reads the whole listing, and seldom.
func TestNoMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := stocked(30), cataloguetest.NewMemory()
		cloud.NoMarks = true
		c := newCatalogue(t, cloud, store)
		runFor(t, c, 24*time.Hour)
		items := 0
		for _, q := range cloud.Asked() {
			if q.Since != "" {
				t.Errorf("asked %+v", q)
			}
			if q.Feed == catalogue.Items {
				items++
			}
		}
		if items < 3 || items > 6 {
			t.Errorf("%d passes in a day", items)
		}
		cloud.Delete(catalogue.Items, sku(1))
		runFor(t, c, 24*time.Hour)
		if got := names(t, store, 30); len(got) != 29 {
			t.Errorf("%d items", len(got))
		}
	})
}

// TestBrokenPages: an empty page that promises more is a fault, not an endless loop.
func TestBrokenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalogue(t, nil, cataloguetest.NewMemory(), func(cfg *catalogue.Config) { cfg.Source = endless{} })
		runFor(t, c, 10*time.Minute)
		if st := feed(c, catalogue.Items); st.State != catalogue.Waiting || st.Error == nil || st.Error.Code != "fetch_failed" {
			t.Errorf("%+v", st)
		}
	})
}

type endless struct{}

func (endless) Page(context.Context, catalogue.Query) (catalogue.Page, error) {
	return catalogue.Page{More: true}, nil
}

func (endless) Fetch(context.Context, string, catalogue.Filter) (json.RawMessage, error) {
	return nil, errors.New("no")
}

// TestOldSalesAreNotKept keeps ninety days.
func TestOldSalesAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := cataloguetest.NewCloud(), cataloguetest.NewMemory()
		for i := range 200 {
			day := time.Now().AddDate(0, 0, -i).Format(time.DateOnly)
			cloud.Set(catalogue.Sales, fmt.Sprint(i), catalogue.Batch{Records: []catalogue.Record{{Key: fmt.Sprint(i), Day: day, Body: json.RawMessage(`{}`)}}})
		}
		c := newCatalogue(t, cloud, store)
		runFor(t, c, time.Minute)
		if st := feed(c, catalogue.Sales); st.Rows != 91 {
			t.Errorf("%+v, want 91 rows", st)
		}
		runFor(t, c, 10*24*time.Hour+12*time.Hour)
		if st := feed(c, catalogue.Sales); st.Rows != 81 {
			t.Errorf("%+v, want 81 rows after ten days", st)
		}
	})
}

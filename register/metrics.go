package register

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"storeagent/offline"
)

// metrics are named storeagent_<area>_<thing>_<unit>. Labels hold words of the contract, route patterns and
// configured device names only, so their number stays small.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  prometheus.Gauge
	cards    *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "storeagent_api_requests_total", Help: "Answered requests."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "storeagent_api_request_seconds", Help: "Time to answer; long polls and streams count their waiting.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30, 120}}, []string{"route"}),
		cards: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "storeagent_giftcard_transactions_total",
			Help: "Gift card transactions by what their cashier heard: a state, or the rule that refused them without the cloud."}, []string{"type", "outcome"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "storeagent_api_event_streams", Help: "Open event streams."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.streams, m.cards, snapshot{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	switch method {
	case "GET", "HEAD", "POST", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// snapshot reads queue, devices and events from memory when it is asked.
type snapshot struct{ s *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("storeagent_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector; the metrics are made anew each time, so it names none ("unchecked").
func (c snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c snapshot) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	q := c.s.cfg.Queue.Status()
	ops := desc("queue_operations", "Operations by state.", "state")
	for state, n := range map[offline.State]int{
		offline.Queued: q.Queued, offline.Sending: q.Sending, offline.InDoubt: q.InDoubt, offline.Parked: q.Parked, offline.Delivered: q.Delivered,
	} {
		gauge(ops, float64(n), string(state))
	}
	gauge(desc("queue_oldest_open_seconds", "Age of the oldest undelivered operation."), float64(q.Exposure.OldestAgeSeconds))
	online := desc("cloud_connection", "1 for the word that holds now.", "connection")
	for _, word := range []offline.Connection{offline.Online, offline.Offline, offline.SignedOut, offline.PausedConn} {
		gauge(online, flag(q.Connection == word), string(word))
	}
	ready := desc("device_ready", "1 while the device works.", "name", "category")
	for _, d := range c.s.deviceList() {
		gauge(ready, flag(works(d.State)), d.Name, string(d.Category))
	}
	blocked := desc("terminal_in_doubt", "1 while a payment in doubt keeps new money off the terminal.", "name")
	for _, t := range c.s.cfg.Payments.Terminals() {
		gauge(blocked, flag(t.Blocking != ""), t.Name)
	}
	extra := c.s.cfg.Status()
	gauge(desc("disk_free_bytes", "Room left for the database."), float64(extra.FreeBytes))
	c.upkeep(gauge, ch, q, extra)
	gauge(desc("agent_start_seconds", "When the agent started, Unix time."), float64(c.s.started.Unix()))
	gauge(desc("agent_info", "1, with the version as label.", "version"), 1, c.s.cfg.Version)
	ch <- prometheus.MustNewConstMetric(desc("events_committed_total", "Id of the newest event."), prometheus.CounterValue, float64(c.s.cfg.Events.Last()))
}

// upkeep tells how much is owed to the cloud, how old it is, and how safely it is kept.
func (c snapshot) upkeep(gauge func(*prometheus.Desc, float64, ...string), ch chan<- prometheus.Metric, q offline.QueueStatus, extra Extra) {
	gauge(desc("queue_undelivered_operations", "Operations that the cloud has not got, parked ones included."), float64(q.Exposure.Count))
	// Prometheus knows floats only. Nothing is computed with this one.
	if amount, err := strconv.ParseFloat(q.Exposure.Amount, 64); err == nil {
		gauge(desc("queue_undelivered_amount", "Sum of their amounts in the store's currency, each without its sign."), amount)
	}
	gauge(desc("queue_moved_operations", "Operations that another machine took over."), float64(q.Moved))
	oldest := 0.0
	if q.OldestQueuedAt != nil {
		oldest = max(0, time.Since(*q.OldestQueuedAt).Seconds())
	}
	gauge(desc("queue_oldest_queued_seconds", "Age of the oldest queued operation, 0 for none."), oldest)
	attempts := desc("queue_attempts_total", "Attempts since the start, by how they ended.", "class")
	for class, n := range c.s.cfg.Upkeep.Attempts() {
		ch <- prometheus.MustNewConstMetric(attempts, prometheus.CounterValue, float64(n), class)
	}
	if at := extra.Backup.At; at != nil {
		gauge(desc("backup_age_seconds", "Age of the newest backup."), max(0, time.Since(*at).Seconds()))
	}
	gauge(desc("backup_failed", "1 while the last backup failed."), flag(extra.Backup.Problem != ""))
	if ms := extra.ClockSkewMS; ms != nil {
		gauge(desc("clock_skew_seconds", "Our clock minus the cloud's."), float64(*ms)/1000)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *Server) getMetrics(context.Context, *nothing) (*stream, error) {
	h := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
	return &stream{func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		h.ServeHTTP(w, r)
	}}, nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/register/wire"
)

// receiptOps is a receipt of thirty lines and codes, 1.7 kB for an ESC/POS printer.
func receiptOps() printer.Document {
	doc := printer.Document{
		{Op: "text", Text: "Corner Shop", Align: "center", Bold: true, Width: 2, Height: 2},
		{Op: "text", Text: "1 High Street, 75201 Dallas", Align: "center"},
		{Op: "rule"},
	}
	for i := range 30 {
		doc = append(doc, printer.Op{Op: "columns", Cells: []printer.Cell{
			{Text: fmt.Sprintf("Café crème, Größe %d, 250 g", i)}, {Text: "2", Width: 4, Align: "right"}, {Text: "9.00", Width: 10, Align: "right"},
		}})
	}
	return append(doc, printer.Document{
		{Op: "rule"},
		{Op: "columns", Cells: []printer.Cell{{Text: "TOTAL €", Bold: true}, {Text: "198.00", Width: 12, Align: "right", Bold: true}}},
		{Op: "text", Text: "VISA ****1111, approved 123456"},
		{Op: "barcode", Symbology: "code128", Data: "L3-000481", Align: "center"},
		{Op: "qrcode", Data: "https://shop.example.com/r/L3-000481?t=20260314", Align: "center"},
		{Op: "text", Text: "Thank you and goodbye", Align: "center"},
		{Op: "feed", Lines: 2},
		{Op: "cut"},
	}...)
}

// counted counts what is read from a connection.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// BenchmarkReceiptToPaper is the time from a till's request for a receipt until a network printer has its last line,
// the job having been stored and its printer asked for its status in between. The printer takes no time to print.
func BenchmarkReceiptToPaper(b *testing.B) {
	ts := openTestShop(b, nil)
	cut := make(chan struct{}, 10)
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, OnPaper: func(line string) {
		if strings.HasPrefix(line, "- -") {
			cut <- struct{}{}
		}
	}})
	var received atomic.Int64
	address := ts.listenSim(func(ctx context.Context, l net.Listener) error {
		return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error { return sim.Serve(ctx, counted{conn, &received}) })
	})
	ts.add(fmt.Sprintf("\n[[device]]\nname = \"wire\"\ndriver = \"escpos\"\nport = \"tcp:%s\"\n", address))
	ts.terminalIs("wire", devices.Ready)
	var ops []wire.Op
	for _, op := range receiptOps() {
		ops = append(ops, wire.Op(op))
	}
	before := received.Load()
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		at := time.Now()
		job, err := ts.till.Print(ts.ctx, fmt.Sprintf("print-%d", i), "wire", wire.PrintRequest{Content: wire.Content{Document: ops}})
		ts.must(err)
		select {
		case <-cut:
		case <-time.After(patience):
			b.Fatal("the receipt does not come out")
		}
		took = append(took, time.Since(at))
		if j, err := ts.till.PrintJob(ts.ctx, job.ID, time.Minute); err != nil || j.State != printer.Printed {
			b.Fatalf("print: %s %v", j.State, err)
		}
	}
	b.StopTimer()
	percentiles(b, took)
	b.ReportMetric(float64(received.Load()-before)/float64(b.N), "bytes/receipt")
	if g := sim.Garbage(); len(g) > 0 {
		b.Errorf("not understood: %q", g)
	}
}

// BenchmarkReceiptEncode is how many receipts a second are checked and turned into printer bytes, without and with a
// logo of 384x160 pixels.
func BenchmarkReceiptEncode(b *testing.B) {
	logo := image.NewGray(image.Rect(0, 0, 384, 160))
	for y := range 160 {
		for x := range 384 {
			logo.SetGray(x, y, color.Gray{Y: byte(x*y/97 + y)})
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, logo); err != nil {
		b.Fatal(err)
	}
	p, err := escpos.New(escpos.Config{Name: "paper", Port: "tcp:127.0.0.1:9100", Open: func(context.Context) (port.Port, error) { return nil, io.EOF }})
	if err != nil {
		b.Fatal(err)
	}
	for _, with := range []string{"no", "yes"} {
		b.Run("logo="+with, func(b *testing.B) {
			doc := receiptOps()
			if with == "yes" {
				doc = append(printer.Document{{Op: "image", PNG: file.Bytes(), Align: "center", Dither: true}}, doc...)
			}
			for range b.N {
				if err := p.Check(doc); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, "receipts/s")
		})
	}
}

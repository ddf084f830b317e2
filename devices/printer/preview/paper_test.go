package preview_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/image/font/gofont/gomono"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port/porttest"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/preview"
	"storeagent/devices/printer/typeset"
)

// quiet hears of a job's progress.
type quiet struct{}

func (quiet) Sending() error         { return nil }
func (quiet) Blocked(printer.Reason) {}

// onPaper has the driver print a document, and gives the images that came out of the simulated printer.
func onPaper(t *testing.T, setter *typeset.Typesetter, columns int, doc printer.Document) (images []*image.Gray) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: columns, ProcessID: true})
		open, fars := porttest.Opener(t)
		p, err := escpos.New(escpos.Config{Name: "front", Open: open, Options: escpos.Options{Columns: columns}, Typesetter: setter})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- p.Run(ctx) }()
		go func() { _ = sim.Serve(ctx, <-fars); ended <- nil }()
		for p.Info().State != devices.Ready {
			<-time.After(100 * time.Millisecond)
			synctest.Wait()
		}
		if state, err := p.Print(ctx, printer.Job{Seq: 1, Copies: 1}, doc, quiet{}); state != printer.Printed {
			t.Errorf("%s %v", state, err)
		}
		images = sim.Images()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return images
}

// TestPictureIsThePaper compares, dot by dot, what a driver sends as an image with what the preview draws: a logo, and
// lines in scripts that no code page carries.
func TestPictureIsThePaper(t *testing.T) {
	setter := typeset.New(nil, typeset.Options{Builtin: [][]byte{gomono.TTF}, System: true})
	for text, pkg := range map[string]string{"ب": "fonts-noto-core", "漢": "fonts-noto-cjk"} {
		if _, err := setter.Line(text, typeset.Style{}, 100); err != nil {
			t.Fatalf("this test needs the Debian package %s: %v", pkg, err)
		}
	}
	r, err := preview.New(setter)
	if err != nil {
		t.Fatal(err)
	}
	photo := image.NewGray(image.Rect(0, 0, 150, 40))
	for i := range photo.Pix {
		photo.Pix[i] = byte(i*i/997 + i)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, photo); err != nil {
		t.Fatal(err)
	}
	for name, op := range map[string]printer.Op{
		"logo":    {Op: "image", PNG: file.Bytes(), Align: "center", Dither: true},
		"scaled":  {Op: "image", PNG: file.Bytes(), Align: "right", Width: 61},
		"arabic":  {Op: "text", Text: "فاتورة ضريبية 481"},
		"chinese": {Op: "text", Text: "绿茶 250g", Width: 2, Height: 2, Bold: true},
		"hebrew":  {Op: "columns", Cells: []printer.Cell{{Text: "תה ירוק"}, {Text: "9.00", Width: 10, Align: "right", Invert: true}}},
		"wrapped": {Op: "text", Text: "合計 合計 合計 合計 合計 合計 合計 合計 合計 合計 合計", Underline: true, Align: "center"},
	} {
		for _, columns := range []int{32, 48} {
			doc := printer.Document{op}
			if err := printer.Check(doc, columns); err != nil {
				t.Fatal(err)
			}
			picture, err := r.PNG(doc, columns)
			if err != nil || len(picture.Missing) > 0 {
				t.Fatalf("%s: missing %q, %v", name, string(picture.Missing), err)
			}
			img, err := png.Decode(bytes.NewReader(picture.Data))
			if err != nil {
				t.Fatal(err)
			}
			black := func(m image.Image, x, y int) bool {
				return image.Pt(x, y).In(m.Bounds()) && color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y < 128
			}
			y, dots := 0, 0
			for _, printed := range onPaper(t, setter, columns, doc) {
				left := map[string]int{"center": (img.Bounds().Dx() - printed.Rect.Dx()) / 2, "right": img.Bounds().Dx() - printed.Rect.Dx()}[op.Align]
				if op.Op != "image" {
					left = 0 // a drawn line begins at the edge
				}
				for row := range printed.Rect.Dy() {
					for x := range img.Bounds().Dx() {
						if is := black(printed, x-left, row); is != black(img, x, y) {
							t.Fatalf("%s at %d columns: dot %d,%d is %t on paper", name, columns, x, y, is)
						} else if is {
							dots++
						}
					}
					y++
				}
			}
			if y != img.Bounds().Dy() || dots == 0 {
				t.Errorf("%s at %d columns: %d rows and %d dots on paper, %d rows in the picture", name, columns, y, dots, img.Bounds().Dy())
			}
		}
	}
}

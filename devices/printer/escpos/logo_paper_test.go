package escpos_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"testing/synctest"

	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/printertest"
)

func TestSuiteWithStoredImages(t *testing.T) {
	printertest.Suite(t, harness(devicesim.PrinterOptions{Columns: 48, ProcessID: true}, escpos.Options{Profile: "TM-T20III"}))
}

// logo is a picture of stripes, dark where x+y is a multiple of 3.
func logo(t *testing.T, w, h int) (*image.Gray, []byte) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			if (x+y)%3 != 0 {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return img, b.Bytes()
}

// TestStoredImageOnPaper writes a logo by the driver as a raw job and prints it by its key, also after power was off; an
// unknown key prints nothing.
func TestStoredImageOnPaper(t *testing.T) {
	for _, size := range []image.Point{{X: 37, Y: 20}, {X: 576, Y: 1000}} { // by GS ( L and by GS 8 L
		picture, file := logo(t, size.X, size.Y)
		write, err := escpos.StoreImage(file, "LG", 48)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, devicesim.PrinterOptions{Columns: 48, ProcessID: true}, escpos.Options{Profile: "TM-T20III"})
			page := printer.Document{{Op: "text", Text: "Shop"}, {Op: "image", Stored: "LG", Align: "center"}, {Op: "text", Text: "Bye"}}
			printed(t, sim, p, page)
			if len(sim.Images()) != 0 || sim.Paper() != "Shop\nBye\n" {
				t.Fatalf("nothing is stored, and the paper is %q", sim.Paper())
			}
			if state, err := p.Print(t.Context(), printer.Job{Seq: 8, Copies: 1, Raw: write}, nil, make(tell, 100)); state != printer.Printed || err != nil {
				t.Fatalf("store: %s, %v", state, err)
			}
			sim.SetPower(false)
			sim.SetPower(true)
			printed(t, sim, p, page)
			images := sim.Images()
			if len(images) != 1 || images[0].Rect != picture.Rect || !bytes.Equal(images[0].Pix, picture.Pix) {
				t.Fatalf("%d images on paper", len(images))
			}
			if sim.MemoryWrites() != 1 {
				t.Errorf("the memory was written %d times", sim.MemoryWrites())
			}
			if lines := strings.Split(sim.Paper(), "\n"); len(lines) != 6 || lines[2] != "Shop" || !strings.Contains(lines[3], "[IMAGE") || lines[4] != "Bye" {
				t.Errorf("paper %q", lines)
			}
		})
	}
}

package devicesim_test

import (
	"strings"
	"testing"

	"storeagent/devices/devicesim"
)

// TestPrinterKeepsGraphics reads GS ( L functions 67 and 69 as Epson's reference writes them.
func TestPrinterKeepsGraphics(t *testing.T) {
	const keep = "1d284c0f00304330" + "4c47" + "01" + "09000200" + "31" + "ff800000" // 9 dots by 2 under LG
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	send := func(hexBytes string) { feed(t, p, unhex(t, hexBytes)) }
	send(keep)
	if len(p.Images()) != 0 || p.MemoryWrites() != 1 || len(p.Garbage()) != 0 {
		t.Fatalf("%d images, %d writes, %q", len(p.Images()), p.MemoryWrites(), p.Garbage())
	}
	p.SetPower(false)
	p.SetPower(true)
	send("1b40" + "1d284c060030454c470201" + "1d284c06003045585801010a")
	images := p.Images()
	if len(images) != 1 || images[0].Rect.Dx() != 18 || images[0].Rect.Dy() != 2 || p.Paper() != "[IMAGE 18x2]\n\n" || len(p.Garbage()) != 0 {
		t.Fatalf("%d images on %q, %q", len(images), p.Paper(), p.Garbage())
	}
	if images[0].GrayAt(17, 0).Y != 0 || images[0].GrayAt(17, 1).Y != 255 {
		t.Error("the dots are others than were kept")
	}
	send(strings.Replace(keep, "ff80", "0000", 1)) // in its place
	send("1d284c060030454c470101")
	if images = p.Images(); len(images) != 2 || images[1].GrayAt(0, 0).Y != 255 || p.MemoryWrites() != 2 {
		t.Errorf("%d images, %d writes", len(images), p.MemoryWrites())
	}
	for i, bad := range []string{
		strings.Replace(keep, "4c47", "1f47", 1), strings.Replace(keep, "09000200", "09000300", 1), strings.Replace(keep, "4701", "4702", 1),
		"1d284c060030454c470301", "1d284c05003045" + "4c4701", "41" + "1d284c060030454c470101",
	} {
		before, writes := len(p.Garbage()), p.MemoryWrites()
		send(bad + "0a0a0a")
		if len(p.Garbage()) == before || p.MemoryWrites() != writes || len(p.Images()) != 2 {
			t.Errorf("%d: %s was taken", i, bad)
		}
	}
}

package escpos

import (
	"bytes"
	"encoding/hex"
	"errors"
	"image"
	"strings"
	"testing"

	"storeagent/devices/printer"
)

// TestStoredImageBytes has the examples of GS ( L, functions 67 and 69: key LG is 4C 47.
func TestStoredImageBytes(t *testing.T) {
	p := testProfile(t, Options{Profile: "TM-T20III"})
	for _, c := range []struct{ align, want string }{
		{"", "1d284c060030454c470101"},
		{"center", "1b61011d284c060030454c4701011b6100"},
		{"right", "1b61021d284c060030454c4701011b6100"},
	} {
		got, err := bytesOf(printer.Document{{Op: "image", Stored: "LG", Align: c.align}}, p)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%q: %x, %v, want %s", c.align, got, err, c.want)
		}
	}
	corners := dots(t, 16, 4, image.Pt(0, 0), image.Pt(5, 1), image.Pt(10, 2), image.Pt(15, 3))
	got, err := StoreImage(corners, "LG", 48)
	if want := "1b401d284c1300304330" + "4c47" + "01" + "10000400" + "31" + "8000040000200001"; err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v, want %s", got, err, want)
	}
	long, err := StoreImage(dots(t, 576, 1200), "~ ", 48) // 72 x 1200 + 11 = 86411 = 1518Bh
	if want := "1b401d384c8b510100304330" + "7e20" + "01" + "4002b004" + "31"; err != nil || !strings.HasPrefix(hex.EncodeToString(long), want) || len(long) != 7+2+86411 {
		t.Errorf("%d bytes, % x..., %v", len(long), long[:min(len(long), 24)], err)
	}
}

func TestStoreImageRefuses(t *testing.T) {
	for _, c := range []struct {
		what string
		png  []byte
		key  string
		want string
	}{
		{"no image", []byte("GIF89a"), "LG", "is not a PNG"},
		{"a long image", dots(t, 8, 1201), "LG", "1201 dots long"},
		{"no key", dots(t, 8, 8), "", `key ""`},
		{"a long key", dots(t, 8, 8), "LOG", `key "LOG"`},
		{"a key beyond ASCII", dots(t, 8, 8), "é", "key"},
	} {
		if b, err := StoreImage(c.png, c.key, 42); err == nil || !strings.Contains(err.Error(), c.want) || b != nil {
			t.Errorf("%s: %d bytes, %v", c.what, len(b), err)
		}
	}
}

// TestStoreImageHoldsNoRealTimeCommand: the printer would obey one in mid-image.
func TestStoreImageHoldsNoRealTimeCommand(t *testing.T) {
	png := dots(t, 16, 2, image.Pt(3, 0), image.Pt(13, 0), image.Pt(3, 1), image.Pt(11, 1), image.Pt(13, 1)) // 10 04, 10 14
	got, err := StoreImage(png, "LG", 42)
	if err != nil || holdsRealTime(got) || !bytes.HasSuffix(got, []byte{0x11, 0x04, 0x11, 0x14}) {
		t.Errorf("% x, %v", got, err)
	}
}

// TestStoredImageByModel: models that are not known to keep images refuse, rather than leave a hole on the receipt.
func TestStoredImageByModel(t *testing.T) {
	for _, c := range []struct {
		profile string
		keeps   bool
	}{
		{"TM-T88IV", true}, {"TM-T88V", true}, {"TM-T20II", true}, {"TM-T20III", true}, {"TM-m30III", true}, {"TM-L90", true}, {"TH230", true},
		{"TM-T88II", false}, {"TM-T88III", false}, {"TM-U220", false}, {"", false}, {"generic-58mm", false}, {"ZJ-5870", false},
	} {
		p, err := New(Config{Name: "front", Options: Options{Profile: c.profile}})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Check(printer.Document{{Op: "rule"}, {Op: "image", Stored: "LG"}})
		var refused *printer.DocumentError
		if c.keeps != (err == nil) || err != nil && (!errors.As(err, &refused) || refused.Field != "document[1].stored") {
			t.Errorf("%q: %v", c.profile, err)
		}
	}
}

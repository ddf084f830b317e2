package escpos

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/devices/printer/codepage"
)

// corpus is everyday receipt text. Where all of a language's letters matter, they are there.
var corpus = map[string]string{
	"English":           "Thank you, please call again! “Coffee” £2.50",
	"German":            "Grüße aus Köln: Brötchen, Käse, weiß 12,50 €",
	"French":            "Crème brûlée, œuf, français, où, naïve, 3,50 €",
	"Spanish":           "¿Qué tal? ¡Señor, piña y cigüeña! 5,00 €",
	"Portuguese":        "Pão, maçã, café, três, avó, à São João 1,20 €",
	"Italian":           "Perché più caffè? Così è, città 2,10 €",
	"Dutch":             "Crème, één ijsje, geïnd, reünie €",
	"Danish":            "Smørrebrød, æble, ål, på ø. ÆØÅ",
	"Norwegian":         "Brød, kjøtt, blåbær og øl. ÆØÅ",
	"Swedish":           "Smörgås, köttbullar, ärtsoppa. ÅÄÖ",
	"Finnish":           "Kiitos käynnistä! Hyvää päivää, löyly ÄÖÅ",
	"Icelandic":         "Þakka þér fyrir! Mjólk, skyr, ís, brauð, Ðð ÁÉÍÓÚÝÞÆÖ",
	"Polish":            "Dziękuję! ĄĆĘŁŃÓŚŹŻ ąćęłńóśźż",
	"Czech":             "Příliš žluťoučký kůň úpěl ďábelské ódy ŘŽŠČĎŤŇŮ",
	"Slovak":            "Ďakujeme! ľščťžýáíéúäôň ĹĽŔ",
	"Hungarian":         "Árvíztűrő tükörfúrógép ŐŰ",
	"Croatian":          "Hvala! ČĆŽŠĐ čćžšđ",
	"Slovenian":         "Nasvidenje, račun, žemlja, šunka ČŠŽ",
	"Romanian":          "Mulţumim! Pâine, brânză, şuncă ĂÂÎŞŢ",
	"Turkish":           "Teşekkürler! İşçi, ığdır, şeker, çay, gözleme ĞÜŞİÖÇ",
	"Lithuanian":        "Ačiū! ĄČĘĖĮŠŲŪŽ ąčęėįšųūž",
	"Latvian":           "Paldies! ĀČĒĢĪĶĻŅŠŪŽ āčēģīķļņšūž",
	"Estonian":          "Aitäh! õun, šokolaad, žürii ÕÄÖÜŠŽ",
	"Greek":             "Ευχαριστούμε! Καφές, ψωμί, γάλα, ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
	"Russian":           "Спасибо за покупку! Съешь ещё этих мягких булок ЁЖЩЪЫЭЮЯ",
	"Ukrainian":         "Дякуємо! Їжак, ґанок, щілина ІЇЄҐ",
	"Bulgarian":         "Благодарим! Кафе, хляб, сирене, ъгъл ЪЮЯ",
	"Serbian Cyrillic":  "Хвала! Ђубрељ, њива, џем, ћевап, јаје ЂЉЊЋЏЈ",
	"Macedonian":        "Благодариме! Ѓорѓи, ќебап, ѕвезда, љубов",
	"Kazakh":            "Рақмет! Әә Ғғ Ққ Ңң Өө Ұұ Үү Һһ Іі",
	"Vietnamese":        "Cảm ơn quý khách! Đường phở bò, nước mắm, bánh mì ĂÂÊÔƠƯ",
	"Maltese":           "Grazzi! Ċ ċ Ġ ġ Ħ ħ Ż ż, l-ħobż, iċ-ċikkulata",
	"Esperanto":         "Dankon! ĉokolado, ĝis, ĥoro, ĵurnalo, ŝuo, aŭto ĈĜĤĴŜŬ",
	"Catalan":           "Gràcies! col·legi, açò, llengua, pingüí €",
	"Irish":             "Go raibh maith agat! bricfeasta, uisce, éan, óg ÁÉÍÓÚ",
	"Basque":            "Eskerrik asko! Ñ ñ ü",
	"Albanian":          "Faleminderit! çaj, vezë ÇË",
	"Belarusian":        "Дзякуй! Ў ў, цукеркі, ёсць",
	"Japanese Katakana": "ｱﾘｶﾞﾄｳ ｺﾞｻﾞｲﾏｽ ｺｰﾋｰ",
}

// TestCorpus prints the text of each language with each profile on a simulated printer of that numbering, whose tables
// come from elsewhere: the paper shows exactly the text, or the text is refused because a letter is on no page.
func TestCorpus(t *testing.T) {
	carried := map[string][]string{}
	for _, name := range Profiles() {
		p := testProfile(t, Options{Profile: name})
		pages := map[byte]string{}
		for _, pg := range p.pages {
			if other, twice := pages[pg.Number]; twice {
				t.Fatalf("%s: pages %s and %s have the same number", name, other, pg.Name)
			}
			pages[pg.Number] = pg.Name
		}
		for language, text := range corpus {
			doc := printer.Document{{Op: "text", Text: text}}
			b, err := bytesOf(doc, p)
			missing := strings.IndexFunc(codepage.Clean(text), func(r rune) bool {
				return r >= 0x7F && !slices.ContainsFunc(p.pages, func(pg codepage.Page) bool { _, ok := pg.Encode(r); return ok })
			})
			if (err == nil) != (missing < 0) {
				t.Errorf("%s, %s: %v, though a page is missing: %v", name, language, err, missing >= 0)
			}
			if err != nil {
				continue
			}
			sim := simulated(t, p, b)
			flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
			if got := flat(sim.Paper()); got != flat(text) || len(sim.Garbage()) > 0 {
				t.Errorf("%s, %s: the paper shows %q, garbage %q", name, language, got, sim.Garbage())
			}
			carried[name] = append(carried[name], language)
		}
	}
	if !slices.Contains(carried["KR-306"], "Japanese Katakana") {
		t.Error("KR-306 has a page of Katakana")
	}
	for name, least := range map[string]int{"default": 38, "KR-306": 33, "TM-T88V": 38, "TM-T20II": 38, "TM-m30III": 36, "RP326": 35, "safe": 26, "generic-58mm": 26, "simple": 3} {
		if n := len(carried[name]); n < least {
			t.Errorf("%s carries only %d of %d languages: %q", name, n, len(corpus), carried[name])
		}
	}
}

func TestProfiles(t *testing.T) {
	names := Profiles()
	if len(names) < 40 {
		t.Fatalf("%d profiles: %q", len(names), names)
	}
	for _, name := range names {
		p, err := newProfile(Options{Profile: strings.ToUpper(name)})
		if err != nil || p.columns == 0 || len(p.pages) == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if euro := slices.IndexFunc(p.pages, func(pg codepage.Page) bool { _, ok := pg.Encode('€'); return ok }); euro > 0 && p.pages[euro].Name != "858" && p.pages[euro].Name != "1252" {
			t.Errorf("%s takes the euro sign from %s", name, p.pages[euro].Name)
		}
	}
	for name, want := range map[string]struct {
		columns       int
		marks, pulses bool
		page          string
		number        byte
	}{
		"TM-T88V":  {42, true, true, "858", 19},
		"TM-T88II": {42, false, true, "1252", 16},
		"CT-S651":  {48, false, false, "1252", 9}, // numbered otherwise than Epson's
		"KR-306":   {48, false, false, "858", 14},
		"ZJ-5870":  {32, false, false, "437", 0},
	} {
		p := testProfile(t, Options{Profile: name})
		i := slices.IndexFunc(p.pages, func(pg codepage.Page) bool { return pg.Name == want.page })
		if i < 0 || p.pages[i].Number != want.number || p.columns != want.columns || p.processID != want.marks || p.pulse != want.pulses {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestProfileFile(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct{ text, wrong string }{
		{`{"id": "mine", "columns": 46, "codePages": {"437": 0, "858": 13}}`, ""},
		{`{"columns": 46, "codePages": {"437": 0, "858": 13}, "processId": true, "realTimePulse": true}`, ""},
		{`{"columns": 5, "codePages": {"437": 0}}`, "columns is 5"},
		{`{"columns": 46}`, "names no code page"},
		{`{"columns": 46, "codePages": {"858": 13, "klingon": 1}}`, "is none of"},
		{`{"columns": 46, "codePages": {"858": 300}}`, "300"},
		{`{"columns": 46, "colunms": 40, "codePages": {"858": 13}}`, "colunms"},
		{`{"columns": 46, "codePages": {"858": 13}} {}`, "more than one"},
		{``, "EOF"},
	} {
		path := filepath.Join(dir, string(rune('a'+i))+".json")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := newProfile(Options{Profile: path})
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", tt.text, err)
			}
			continue
		}
		if err != nil || p.columns != 46 || len(p.pages) != 2 || p.pages[1].Number != 13 {
			t.Errorf("%s: %+v, %v", tt.text, p, err)
		}
	}
	if _, err := newProfile(Options{Profile: filepath.Join(dir, "none.json")}); err == nil {
		t.Error("a file that is not there passes")
	}
	if _, err := newProfile(Options{Profile: "TM-T1000"}); err == nil || !strings.Contains(err.Error(), "TM-T88V") {
		t.Errorf("unknown: %v", err)
	}
}

// TestPagesThatNeedShaping: Arabic and Hebrew come out wrong without reordering, so they take asking for.
func TestPagesThatNeedShaping(t *testing.T) {
	doc := printer.Document{{Op: "text", Text: "שלום"}}
	if _, err := bytesOf(doc, testProfile(t, Options{})); err == nil {
		t.Error("Hebrew passes unasked")
	}
	if _, err := bytesOf(doc, testProfile(t, Options{Codepages: []string{"437", "862"}})); err != nil {
		t.Error(err)
	}
}

// TestRomanianComma: the letters with a comma below print as those with a cedilla, which is what printers have.
func TestRomanianComma(t *testing.T) {
	p := testProfile(t, Options{})
	comma, err := bytesOf(printer.Document{{Op: "text", Text: "Mul\u021Bumim, \u0219unc\u0103 \u0218\u021A"}}, p)
	if err != nil {
		t.Fatal(err)
	}
	cedilla, err := bytesOf(printer.Document{{Op: "text", Text: "Mul\u0163umim, \u015Func\u0103 \u015E\u0162"}}, p)
	if err != nil || !slices.Equal(comma, cedilla) {
		t.Errorf("%x and %x, %v", comma, cedilla, err)
	}
}

package register

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"regexp"
)

//go:embed console.html
var consoleHTML []byte

// console is the page at / with the policy that lets nothing run but its own script and style.
type console struct {
	html   []byte
	policy string
}

func newConsole() console {
	hash := func(tag string) string {
		m := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindSubmatch(consoleHTML)
		sum := sha256.Sum256(m[1])
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return console{html: consoleHTML, policy: "default-src 'none'; script-src " + hash("script") + "; style-src " + hash("style") +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

type consolePage struct {
	ContentType string `header:"Content-Type"`
	Policy      string `header:"Content-Security-Policy"`
	Frames      string `header:"X-Frame-Options"`
	Body        []byte
}

// with is the page with a token of its own, "" for one that asks for it.
func (c console) with(token string) []byte {
	const place = `<meta name="token" content="`
	return bytes.Replace(c.html, []byte(place), []byte(place+token), 1)
}

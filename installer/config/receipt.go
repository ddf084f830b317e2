package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"storeagent/register/receipt"
)

// checkReceipt reads the files of the receipts and tries them.
func (l *loader) checkReceipt(c *Config) {
	o := receipt.Options{
		Store:  receipt.Store{Name: c.Store.Name, TaxID: c.Store.TaxID, Footer: c.Receipt.Footer},
		Locale: c.Store.Locale, Location: c.Store.Location, Currency: c.Store.Currency, Words: c.Receipt.Words,
		StoredLogo: c.Receipt.StoredLogo,
	}
	if c.Store.Address != "" {
		o.Store.Address = strings.Split(c.Store.Address, "\n")
	}
	before := len(l.problems)
	o.Logo = l.file("receipt.logo", c.Receipt.Logo, receipt.MaxLogo)
	o.Template, o.TemplateName = string(l.file("receipt.template", c.Receipt.Template, receipt.MaxTemplate)), filepath.Base(c.Receipt.Template)
	if len(l.problems) > before {
		return
	}
	if c.Receipt.Logo != "" && len(o.Logo) == 0 {
		l.add("receipt.logo", "names an empty file", "take a PNG")
		return
	}
	if c.Receipt.Template != "" && strings.TrimSpace(o.Template) == "" {
		l.add("receipt.template", "names an empty file", "storeagent receipt --template shows one to begin with")
		return
	}
	var err error
	if c.Receipt.Form, err = receipt.NewForm(o); err == nil {
		return
	}
	var bad *receipt.OptionError
	switch {
	case !errors.As(err, &bad):
		l.add("receipt", err.Error(), "")
	case bad.Option == "locale":
		l.add("store.locale", bad.Message, bad.Hint)
	case bad.Option == "template":
		l.problems = append(l.problems, Problem{File: c.Receipt.Template, Line: bad.Line, Message: bad.Message, Hint: bad.Hint})
	default:
		l.add("receipt."+bad.Option, bad.Message, bad.Hint)
	}
}

// file reads a file that a key names, nil for none.
func (l *loader) file(key, path string, most int64) []byte {
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		l.add(key, "is not an absolute path", `write the whole path, like "/etc/storeagent/receipt.tmpl"`)
		return nil
	}
	const unreadable, hint = "names a file that cannot be read", "the user that runs storeagent must be able to read it"
	f, err := os.Open(path)
	if err != nil {
		l.add(key, unreadable, hint)
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		l.add(key, unreadable, hint)
	case int64(len(data)) > most:
		l.add(key, fmt.Sprintf("names a file of over %d bytes", most), "make it smaller")
	default:
		return data
	}
	return nil
}

package register

import (
	"fmt"
	"log/slog"
	"strings"

	"storeagent/devices/scanner"
	"storeagent/payments/money"
	"storeagent/register/wire"
)

// describeMeasured adds what a store's own code says of price or weight, and gives the codes to look its item up by, the
// best first. A code that fits a pattern is no article number of the world, so it has no gtin; one with a wrong check digit
// is unknown and has no item either, since a price misread is worse than a code typed by hand.
func (s *Server) describeMeasured(out *wire.Scan, scan scanner.Scan) (codes []string) {
	plain := []string{scan.GTIN}
	if scan.GTIN == "" {
		plain[0] = out.Data
	}
	if out.Kind == "giftcard" || scan.Link || scan.GS1 != nil || scan.GS1Errors != nil {
		return plain
	}
	m, fits, ok := scanner.MatchPatterns(s.cfg.Patterns, string(scan.Data))
	if !fits {
		return plain
	}
	out.GTIN, out.Kind = "", "unknown"
	if !ok {
		return nil
	}
	if m.HasPrice {
		price, err := money.FromMinor(m.Minor, s.cfg.Currency)
		if err != nil {
			s.cfg.Log.Warn("price in a code not understood", slog.String("scanner", scan.Scanner), slog.Any("error", err))
			return nil
		}
		out.Price = price.String()
	}
	if m.HasGrams {
		out.Weight = fmt.Sprintf("%d.%03d", m.Grams/1000, m.Grams%1000)
	}
	out.Kind = "item"
	codes = []string{m.Item}
	for _, code := range []string{strings.TrimLeft(m.Item, "0"), m.Blank} {
		if code != "" && code != m.Item {
			codes = append(codes, code)
		}
	}
	return codes
}

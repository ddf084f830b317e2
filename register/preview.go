package register

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"storeagent/devices/printer"
	"storeagent/devices/printer/preview"
	"storeagent/register/wire"
)

// defaultColumns is the line width of a preview that names no printer: font A on 80 mm paper.
const defaultColumns = 42

// previewTypes are what a preview can be, the first being the default.
var previewTypes = []string{"text/plain", "image/png", "image/svg+xml"}

// maxMissing is how many characters without a font a preview names.
const maxMissing = 50

// previewAnswer is an answer that is no JSON.
type previewAnswer struct {
	ContentType string `header:"Content-Type"`
	Missing     string `header:"X-Preview-Missing" doc:"Characters that the picture shows as boxes because no font here has them, as U+0E01 U+0E02; the printer may have them"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte
}

func (s *Server) preview(ctx context.Context, in *struct {
	Accept string `header:"Accept" doc:"image/png, image/svg+xml or text/plain, which is the default"`
	Body   wire.PreviewRequest
}) (*previewAnswer, error) {
	media, ok := negotiate(in.Accept, previewTypes)
	if !ok {
		return nil, refuse(http.StatusNotAcceptable, "not_acceptable", "A preview is text, a PNG or an SVG image.",
			"Send one of these: Accept: image/png, Accept: image/svg+xml, Accept: text/plain.")
	}
	columns, err := s.previewColumns(in.Body)
	if err != nil {
		return nil, err
	}
	r, err := s.content(ctx, in.Body.PrintRequest, columns)
	if err != nil {
		return nil, err
	}
	if r.Raw != nil {
		return nil, invalid(field("raw", "cannot be previewed; only the printer knows what its bytes show"))
	}
	if err := printer.Check(r.Document, columns); err != nil {
		return nil, err
	}
	return s.draw(media, r.Document, columns)
}

// previewColumns is the line width that was asked for: a number, a printer's, or the default.
func (s *Server) previewColumns(in wire.PreviewRequest) (int, error) {
	switch {
	case in.Columns != 0:
		return in.Columns, nil
	case in.Printer == "":
		return defaultColumns, nil
	}
	columns, err := s.cfg.Printing.Columns(in.Printer)
	if errors.Is(err, printer.ErrNoPrinter) {
		return 0, invalid(field("printer", "names no configured printer"))
	}
	return columns, err
}

func (s *Server) draw(media string, doc printer.Document, columns int) (*previewAnswer, error) {
	out := &previewAnswer{ContentType: media}
	var picture preview.Picture
	var err error
	switch media {
	case "image/png":
		picture, err = s.paper.PNG(doc, columns)
	case "image/svg+xml":
		picture, err = s.paper.SVG(doc, columns)
		out.Policy = "default-src 'none'; img-src data:"
	default:
		out.ContentType += "; charset=utf-8"
		picture.Data = []byte(printer.PreviewText(doc, columns))
	}
	var long *preview.TooLongError
	if errors.As(err, &long) {
		return nil, refuse(http.StatusUnprocessableEntity, "preview_too_long", "The paper would be longer than a picture of it can be: "+long.Error()+".",
			"Preview the document in parts, or ask for Accept: text/plain.")
	}
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, r := range picture.Missing[:min(len(picture.Missing), maxMissing)] {
		missing = append(missing, fmt.Sprintf("U+%04X", r))
	}
	out.Body, out.Missing = picture.Data, strings.Join(missing, " ")
	return out, nil
}

// previewContent describes the answers of a preview.
func previewContent() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{
		"text/plain":    {Schema: &huma.Schema{Type: "string"}},
		"image/png":     {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		"image/svg+xml": {Schema: &huma.Schema{Type: "string"}},
	}
}

// negotiate picks one of the media types that a caller accepts (RFC 9110, section 12.5.1): of the highest quality, and
// among equals the first. Parts of the header that cannot be read count for nothing.
func negotiate(accept string, offers []string) (string, bool) {
	if strings.TrimSpace(accept) == "" {
		return offers[0], true
	}
	type accepted struct {
		media   string
		quality float64
	}
	var ranges []accepted
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, given := params["q"]; given {
			if quality, err = strconv.ParseFloat(q, 64); err != nil || quality < 0 || quality > 1 {
				continue
			}
		}
		ranges = append(ranges, accepted{media, quality})
	}
	best, most := "", 0.0
	for _, offer := range offers {
		kind, _, _ := strings.Cut(offer, "/")
		quality := 0.0
	specific: // the most exact range decides
		for _, pattern := range []string{offer, kind + "/*", "*/*"} {
			for _, r := range ranges {
				if r.media == pattern {
					quality = r.quality
					break specific
				}
			}
		}
		if quality > most {
			best, most = offer, quality
		}
	}
	return best, most > 0
}

package gs1

import (
	"net/url"
	"strings"
)

// ParseLink reads a GS1 Digital Link address: a primary key and its qualifiers as path segments, attributes as query
// parameters. ok is false for an address that is none, and then there are no faults. A GTIN in it has 14 digits.
func ParseLink(address string) (elements Elements, faults []Fault, ok bool) {
	if len(address) > maxLength {
		return nil, nil, false
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, nil, false
	}
	segments := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	at := keyAt(segments)
	if at < 0 {
		return nil, nil, false
	}
	for i := at; i < len(segments); i += 2 {
		e, fault := element(segments[i], segments[i+1])
		elements = append(elements, e)
		if fault != "" {
			faults = append(faults, Fault{e.AI, fault})
		}
	}
	if !inOrder(elements) {
		faults = append(faults, Fault{elements[0].AI, "its qualifiers do not belong to it or stand in the wrong order"})
	}
	for pair := range strings.SplitSeq(strings.ReplaceAll(u.RawQuery, ";", "&"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		r, known := rules()[name]
		if !known {
			continue // parameters of other makers, such as linkType
		}
		e, fault := element(name, value)
		elements = append(elements, e)
		switch {
		case fault != "":
			faults = append(faults, Fault{name, fault})
		case !r.link:
			faults = append(faults, Fault{name, "is not an attribute of a link"})
		}
	}
	return elements, faults, true
}

// keyAt finds the primary key: the last path segment that is one, with pairs of identifier and value behind it.
func keyAt(segments []string) int {
	for at := len(segments) - 2; at >= 0; at -= 2 {
		r, known := rules()[segments[at]]
		if !known {
			return -1
		}
		if r.key {
			return at
		}
	}
	return -1
}

func element(ai, escaped string) (Element, string) {
	value, err := url.PathUnescape(escaped)
	if err != nil {
		return Element{ai, ""}, "is not spelt as a link wants it"
	}
	return Element{ai, value}, rules()[ai].check(value)
}

// inOrder says whether the qualifiers of the key are its own and in order.
func inOrder(path Elements) bool {
	if len(path) == 1 {
		return true
	}
	for _, allowed := range rules()[path[0].AI].paths {
		next := 1
		for _, ai := range allowed {
			if next < len(path) && path[next].AI == ai {
				next++
			}
		}
		if next == len(path) {
			return true
		}
	}
	return false
}

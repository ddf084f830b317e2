package scanner

import "storeagent/devices/scanner/gs1"

// readGS1 reads element strings and Digital Links. Only the symbols below carry element strings; a scanner that sends no
// AIM identifier leaves that open, and a code is never taken for GS1 by its leading digits (GS1 General Specifications,
// section 7.8: the symbology identifier tells).
func readGS1(scan *Scan) {
	var elements gs1.Elements
	var faults []gs1.Fault
	switch scan.AIM {
	case "]C1", "]e0", "]d2", "]Q3", "]J1":
		elements, faults = gs1.Parse(string(scan.Data))
	default:
		if elements, faults, scan.Link = gs1.ParseLink(string(scan.Data)); !scan.Link {
			return
		}
	}
	if len(faults) > 0 {
		scan.GS1Errors = faults
		return
	}
	scan.GS1 = elements.Map()
	scan.GS1Warnings = elements.Associations()
	if gtin := elements.Get("01"); gtin != "" {
		scan.GTIN = gtin
	}
	scan.Weight, _ = elements.Weight()
	scan.Price, _, _ = elements.Price()
}

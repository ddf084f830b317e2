package devices

import "strings"

// Warning is what a person should see to although the device works; nil where there is nothing, and where it does not
// work. State says whether it works.
func (i Info) Warning() *Problem {
	switch {
	case i.State != Ready && i.State != Busy && i.State != Claimed:
		return nil
	case i.Category == POSPrinter && i.Status.CoverOpen == nil && strings.HasPrefix(i.Status.Text, "one-way"):
		return &Problem{
			Code: "silent", Message: i.Port + " opens, but the printer answers nothing",
			Hint: "check its power, cable and baud rate; if storeagent print-test " + i.Name + " prints, it is a printer that cannot answer",
		}
	case i.LastError != nil:
		p := *i.LastError
		p.Message = "works, but " + p.Message
		return &p
	case i.Status.RecNearEnd != nil && *i.Status.RecNearEnd:
		return &Problem{Code: "paper_low", Message: "the paper is nearly used up", Hint: "put a new roll in soon"}
	}
	return nil
}

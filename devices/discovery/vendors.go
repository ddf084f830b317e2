package discovery

import "storeagent/devices"

// ID is one known product, or a whole vendor where PID is empty.
type ID struct {
	VID, PID        string // four upper-case hexadecimal digits
	Vendor, Product string
	Seems           devices.Category // "" where the id does not tell
}

// IDs lists what is known of devices that stand on counters, for those who open them to a user.
func IDs() []ID {
	list := make([]ID, len(ids))
	for i, k := range ids {
		list[i] = ID{VID: k.vid, PID: k.pid, Vendor: k.vendor, Product: k.product, Seems: k.seems}
	}
	return list
}

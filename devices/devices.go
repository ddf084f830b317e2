// Package devices is what every device on the counter has in common: identity, life cycle, health, and the one
// goroutine that owns its port. A device that breaks breaks alone and comes back by itself.
//
// It is called by the drivers and wired by cmd; it imports only devices/port. Words follow UnifiedPOS
// (categories, claim).
package devices

import (
	"context"
	"time"
)

// Category is the UnifiedPOS category of a device.
type Category string

// The categories of the API.
const (
	POSPrinter      Category = "posPrinter"
	Scanner         Category = "scanner"
	CashDrawer      Category = "cashDrawer"
	LineDisplay     Category = "lineDisplay"
	Scale           Category = "scale"
	PaymentTerminal Category = "terminal"
)

// State is the health of a device.
type State string

// The states of the API.
const (
	Ready   State = "ready"
	Busy    State = "busy"
	Offline State = "offline"
	Error   State = "error"
	Claimed State = "claimed"
)

// Status is what a device reports of itself; a nil field means that it did not say.
type Status struct {
	CoverOpen    *bool  `json:"coverOpen,omitempty"`
	RecEmpty     *bool  `json:"recEmpty,omitempty"`
	RecNearEnd   *bool  `json:"recNearEnd,omitempty"`
	DrawerOpened *bool  `json:"drawerOpened,omitempty"`
	Text         string `json:"text,omitempty" doc:"Anything else the device says, for a person"`
}

// Problem is a fault with its next step, for a technician.
type Problem struct {
	Code    string    `json:"code" doc:"missing, no_permission, busy, silent, unplugged, wrong_mode, bad_address, cover_open, paper_out, card_data_refused or device_error"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
	Length  int       `json:"length,omitempty" doc:"Only with card_data_refused: how many characters were refused"`
	At      time.Time `json:"at"`
}

// Info is one device as GET /v1/devices shows it.
type Info struct {
	Name      string    `json:"name"`
	Category  Category  `json:"category"`
	Driver    string    `json:"driver"`
	Port      string    `json:"port"`
	State     State     `json:"state"`
	Status    Status    `json:"status"`
	Model     string    `json:"model,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	Since     time.Time `json:"since" doc:"When it came into this state"`
	LastError *Problem  `json:"lastError,omitempty"`
}

// Device is one configured device. Run owns its port until ctx ends and returns after all its goroutines ended;
// it survives unplugging, garbage and silence, and returns an error only where it can never work.
type Device interface {
	Info() Info // from memory, never blocks, safe for concurrent use
	Run(ctx context.Context) error
}

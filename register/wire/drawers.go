package wire

import "time"

// DrawerRequest asks for a drawer to be opened.
type DrawerRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"Why, for the audit: no sale, cash count, …"`
}

// DrawerOpening is one opening of a drawer; the data of an event of type drawer.
type DrawerOpening struct {
	Drawer       string    `json:"drawer"`
	Reason       string    `json:"reason"`
	By           string    `json:"by" doc:"Name of the pairing that asked"`
	At           time.Time `json:"at"`
	DrawerOpened *bool     `json:"drawerOpened,omitempty" doc:"Whether the drawer was seen open within a second; absent where its switch is not set up"`
}

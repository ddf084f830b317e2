package wire

import "storeagent/offline"

// CardRef names a gift card: by its code, or by the codeRef of a scan. Both travel in bodies only.
type CardRef struct {
	Code     string `json:"code,omitempty" maxLength:"200"`
	CodeRef  string `json:"codeRef,omitempty" maxLength:"100" doc:"From a scan event, in place of code; good for 10 minutes"`
	CodeType string `json:"codeType,omitempty" maxLength:"50" pattern:"^[A-Za-z_][A-Za-z0-9_]*$" doc:"PHYSICAL, PERSONAL or EXTERNAL; without it one code may match several cards"`
	PIN      string `json:"pin,omitempty" maxLength:"50"`
}

// GiftcardTransaction is the body of POST /v1/giftcards/transactions.
type GiftcardTransaction struct {
	CardRef
	TransType offline.TransType `json:"transType" enum:"USE,ADD"`
	Amount    string            `json:"amount" doc:"Positive decimal text like \"6.49\"; the agent puts the cloud's sign on"`
	Mode      offline.CardMode  `json:"mode" enum:"authorize,immediate"`
	Reference string            `json:"reference,omitempty" maxLength:"255" doc:"The register's own; stays here"`
}

// NewGiftcard is the body of POST /v1/giftcards.
type NewGiftcard struct {
	PhysicalCode string `json:"physicalCode,omitempty" maxLength:"200"`
	CodeRef      string `json:"codeRef,omitempty" maxLength:"100" doc:"From a scan event, in place of physicalCode"`
	PhysicalPIN  string `json:"physicalPin,omitempty" maxLength:"50"`
}

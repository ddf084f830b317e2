package wire

// MoveRequest is the body of POST /v1/queue/move.
type MoveRequest struct {
	Passphrase string `json:"passphrase" minLength:"12" maxLength:"1000" doc:"The file can be opened with it, and with nothing else"`
	Note       string `json:"note" minLength:"1" maxLength:"500" doc:"Why, for the audit"`
}

// ImportRequest is the body of POST /v1/queue/import: one part of a file that POST /v1/queue/move made.
type ImportRequest struct {
	Head       string `json:"head" doc:"First line of the file"`
	Part       string `json:"part" doc:"One of its other lines"`
	Index      int    `json:"index" minimum:"0" doc:"Which of them, from 0"`
	Last       bool   `json:"last" doc:"Whether it is the last line"`
	Passphrase string `json:"passphrase" minLength:"1" maxLength:"1000"`
}

// Noted is the body of POST /v1/queue/findings/ack.
type Noted struct {
	Note string `json:"note" minLength:"1" maxLength:"500" doc:"What was done about it, for the audit"`
}

// SchemaCheck answers POST /v1/schema/check.
type SchemaCheck struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems" nullable:"false" doc:"What the cloud offers otherwise than this agent needs it, one sentence each"`
	Notes    []string `json:"notes" nullable:"false" doc:"What it offers beyond that, one sentence each"`
}

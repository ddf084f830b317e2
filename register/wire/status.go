package wire

import (
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/offline"
)

// PairingRequest is the body of POST /v1/pairings.
type PairingRequest struct {
	Name   string       `json:"name" minLength:"1" maxLength:"100"`
	Role   journal.Role `json:"role" enum:"register,technician,observer"`
	Origin string       `json:"origin,omitempty" maxLength:"300" doc:"Browser origin the token is bound to, like https://register.example.com"`
}

// Pairing is one caller that was let in. Token is there only in the first answer to POST.
type Pairing struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Role      journal.Role `json:"role" enum:"register,technician,observer"`
	Origin    string       `json:"origin,omitempty"`
	CreatedAt time.Time    `json:"createdAt"`
	RevokedAt *time.Time   `json:"revokedAt,omitempty"`
	Token     string       `json:"token,omitempty" doc:"Shown once and kept nowhere"`
}

// ConsoleLink opens the console page once, for who can only look.
type ConsoleLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expiresAt" doc:"When it can no longer be opened"`
}

// StatusProblem is one thing a person should see to.
type StatusProblem struct {
	Code     string `json:"code"`
	Severity string `json:"severity" enum:"warning,error"`
	Message  string `json:"message"`
	Hint     string `json:"hint"`
}

// Can says what works right now.
type Can struct {
	Sell  bool `json:"sell"`
	Card  bool `json:"card"`
	Print bool `json:"print"`
	Scan  bool `json:"scan"`
	Cloud bool `json:"cloud"`
}

// Disk is the room left for the database.
type Disk struct {
	FreeBytes int64  `json:"freeBytes"`
	Backup    Backup `json:"backup"`
}

// Backup is the newest copy of the database.
type Backup struct {
	At      *time.Time `json:"at" doc:"Null where there is none yet"`
	Bytes   int64      `json:"bytes"`
	Problem string     `json:"problem,omitempty" doc:"Why the last try failed"`
}

// Status is GET /v1/status.
type Status struct {
	Version     string               `json:"version"`
	StartedAt   time.Time            `json:"startedAt"`
	Store       string               `json:"store"`
	Register    string               `json:"register"`
	Connection  offline.Connection   `json:"connection" enum:"online,offline,signed_out,paused"`
	Queue       offline.QueueStatus  `json:"queue"`
	Devices     []devices.Info       `json:"devices" nullable:"false"`
	SignIn      offline.SignInStatus `json:"signIn"`
	Disk        Disk                 `json:"disk"`
	ClockSkewMS *int64               `json:"clockSkewMs" doc:"Our clock minus the cloud's, to half a second after one answer and closer after several; null until the cloud was asked"`
	Can         Can                  `json:"can"`
	Problems    []StatusProblem      `json:"problems" nullable:"false"`
}

// Health is GET /healthz and GET /readyz.
type Health struct {
	OK      bool   `json:"ok"`
	Version string `json:"version"`
}

package cloudsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// serveAdmin is for whoever runs the simulator: GET and PUT /_sim/faults, PUT /_sim/terminal, GET /_sim/ledger. It asks
// for no token.
func (s *Sim) serveAdmin(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/_sim/faults" && r.Method == http.MethodGet:
		answerJSON(w, http.StatusOK, s.Faults())
	case r.URL.Path == "/_sim/faults" && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		var f Faults
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			http.Error(w, "read faults: "+err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.SetFaults(f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusOK, s.Faults())
	case r.URL.Path == "/_sim/terminal" && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		s.playTerminal(w, r)
	case r.URL.Path == "/_sim/ledger" && r.Method == http.MethodGet:
		answerJSON(w, http.StatusOK, struct {
			Purchases  []Purchase     `json:"purchases"`
			Executions map[string]int `json:"executions"`
			Cards      []CardTrans    `json:"cards"`

			TerminalPayments []TerminalPayment `json:"terminalPayments"`
		}{s.Ledger(), s.Executions(), s.CardLedger(), s.TerminalLedger()})
	default:
		http.NotFound(w, r)
	}
}

// playTerminal takes a TerminalPlay as JSON; after is a text like "5s".
func (s *Sim) playTerminal(w http.ResponseWriter, r *http.Request) {
	var p struct {
		TerminalPlay
		After string `json:"after"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	dec.DisallowUnknownFields()
	err := dec.Decode(&p)
	if err == nil && p.After != "" {
		p.TerminalPlay.After, err = time.ParseDuration(p.After)
	}
	if err != nil {
		http.Error(w, "read what terminals do: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.PlayTerminal(p.TerminalPlay)
	answerJSON(w, http.StatusOK, p)
}

package sqlite

import "storeagent/offline"

// evidence writes down what the cloud showed when a doubt was settled without a person.
func (t *tx) evidence(op offline.Operation, r offline.Result) error {
	if r.Evidence == "" {
		return nil
	}
	return t.audit(offline.AgentActor(), offline.ActionEvidence, op.ID, r.Evidence)
}

package offline

import "fmt"

// UndeliveredError refuses to cut the way to the cloud, or to take the agent away, while something waits for delivery.
type UndeliveredError struct {
	Count   int    // operations
	Amounts string // what they are worth, with currency
	Forced  bool   // whether the caller insisted, without having a copy of all of it
}

func (e *UndeliveredError) Error() string {
	if e.Count == 1 {
		return "1 operation over " + e.Amounts + " is not delivered yet"
	}
	return fmt.Sprintf("%d operations over %s are not delivered yet", e.Count, e.Amounts)
}

// Hint is what to do next.
func (e *UndeliveredError) Hint() string {
	if e.Forced {
		return "Take a copy of all of it first: GET /v1/queue/export, or storeagent queue export --out FILE. Then force it again."
	}
	return "Deliver it first: storeagent queue drain. Or take a copy, storeagent queue export, and then force it."
}

// MayLeave is the rule for everything that ends deliveries, a sign-out as well as taking the agent off a machine: not
// while count operations are undelivered, unless the caller insists and a person has a copy of all of them (exported).
// The error is an *UndeliveredError.
func MayLeave(count int, amounts string, exported, force bool) error {
	if count == 0 || force && exported {
		return nil
	}
	return &UndeliveredError{Count: count, Amounts: amounts, Forced: force}
}

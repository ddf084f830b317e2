package port

import "errors"

// inputNode is a node that takes no bytes.
type inputNode struct{ *node }

var errTakesNothing = errors.New("this kind of port takes no bytes")

func (n *inputNode) Write([]byte) (int, error) {
	return 0, &Error{Op: "write", Address: n.address, Kind: Failed, Hint: "it can only be read", Err: errTakesNothing}
}

package cataloguetest

import (
	"testing"

	"storeagent/offline/catalogue"
)

func TestMemory(t *testing.T) {
	Suite(t, func(*testing.T) catalogue.Store { return NewMemory() })
}

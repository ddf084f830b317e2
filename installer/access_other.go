//go:build !unix

package installer

import "io/fs"

// writable is decided by access lists there; the agent's own start says more.
func writable(string) error { return nil }

func tooOpen(fs.FileInfo) bool { return false }

func owner(fs.FileInfo) string { return "its owner" }

func sameOwner(_, _ fs.FileInfo) bool { return true }

//go:build race

package sqlite

// raced tells that the race detector runs, which makes a database ten times slower.
const raced = true

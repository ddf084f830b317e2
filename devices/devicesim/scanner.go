package devicesim

import (
	"fmt"
	"io"
	"sync"
)

// ScannerOptions is how the simulated scanner is programmed.
type ScannerOptions struct {
	Prefix string // sent before each code
	Suffix string // sent behind each code, "" means CR
	AIM    bool   // send the AIM identifier before the data
}

// Scanner is a simulated serial bar code scanner: what it reads goes out as bytes on a cable. It is safe for
// concurrent use.
type Scanner struct {
	mu  sync.Mutex
	out io.Writer
	o   ScannerOptions
}

// NewScanner makes a scanner that sends on rw, a PTY or one end of a net.Conn. What the program sends to the scanner
// stays unread, like the commands that most scanners ignore.
func NewScanner(rw io.ReadWriter, o ScannerOptions) *Scanner {
	if o.Suffix == "" {
		o.Suffix = "\r"
	}
	return &Scanner{out: rw, o: o}
}

// Scan reads one code: aim is the identifier that a real scanner would give it, such as "]E0" (ISO/IEC 15424), sent
// only where the scanner is programmed to.
func (s *Scanner) Scan(aim, data string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.o.Prefix
	if s.o.AIM {
		text += aim
	}
	if _, err := io.WriteString(s.out, text+data+s.o.Suffix); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	return nil
}

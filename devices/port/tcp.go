package port

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// How long a TCP port may take to open, and when a silent peer counts as gone: about 30 s after the last sign.
const (
	connectTimeout = 3 * time.Second
	keepIdle       = 15 * time.Second
	keepInterval   = 5 * time.Second
	keepCount      = 3
)

// OpenTCP connects to a device in the network. The port also has CloseWrite, which ends our side of the connection
// and leaves the other open for a last answer.
func OpenTCP(ctx context.Context, a Address) (Port, error) {
	d := net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount},
	}
	conn, err := d.DialContext(ctx, "tcp", a.Target)
	if err != nil {
		hint := "check that the device is on, in the same network and listening on that port number"
		var dns *net.DNSError
		if errors.As(err, &dns) {
			hint = "the name of the device is not known in the network: check it, or write its IP address"
		}
		return nil, &Error{Op: "open", Address: a.String(), Kind: Missing, Hint: hint, Err: err}
	}
	return &tcpPort{TCPConn: conn.(*net.TCPConn), address: a.String()}, nil
}

type tcpPort struct {
	*net.TCPConn
	address string
}

func (p *tcpPort) Read(b []byte) (int, error) {
	n, err := p.TCPConn.Read(b)
	return n, p.gone("read", err)
}

func (p *tcpPort) Write(b []byte) (int, error) {
	n, err := p.TCPConn.Write(b)
	return n, p.gone("write", err)
}

// gone marks everything but a deadline and our own Close as the far side's doing: a reset, a dead route, keep-alive.
func (p *tcpPort) gone(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	hint := "check the network cable and the power of the device"
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		hint = "it takes connections and ends them: many devices serve one computer at a time, so look for another register or program that uses it; else switch it off and on"
	}
	return &Error{Op: op, Address: p.address, Kind: Unplugged, Hint: hint, Err: err}
}

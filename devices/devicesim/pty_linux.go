package devicesim

import (
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openRaw makes a pty that passes every byte as it is, like a serial line: no echo, no line editing, no translation
// (termios(3), "Raw mode"). The device's end can be closed while it is being read.
func openRaw() (master, slave *os.File, err error) {
	m, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = slave.Close()
		}
	}()
	defer func() { _ = m.Close() }()
	t, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		return nil, nil, os.NewSyscallError("TCGETS", err)
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, t); err != nil {
		return nil, nil, os.NewSyscallError("TCSETS", err)
	}
	// m is in blocking mode after ioctls through Fd, and a blocked Read would outlive its Close: take a second
	// descriptor that the poller knows.
	fd, err := unix.FcntlInt(m.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("dup", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, nil, os.NewSyscallError("set non-blocking", err)
	}
	return os.NewFile(uintptr(fd), m.Name()), slave, nil
}

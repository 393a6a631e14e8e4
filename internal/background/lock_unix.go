//go:build unix && !solaris && !aix

package background

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New("a core runs there")

// tryLock locks an open file for all processes that have it open, alone or together with others who look.
func tryLock(f *os.File, alone bool) error {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}

// apart makes a process one that neither the terminal's signals nor its end reach.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

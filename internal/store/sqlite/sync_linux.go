package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// direct is the flag of a file that is written past the kernel's cache.
const direct = unix.O_DIRECT

// syncData has all on disk that was written to a file, which may be closed meanwhile.
func syncData(f *os.File) (err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(c.Control(func(fd uintptr) {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Fdatasync(int(fd))
		}
	}), err)
}

// syncFolder has the names of a folder's files on disk.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData has all on disk that was written to a file.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

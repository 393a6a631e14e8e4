//go:build !linux

package sqlite

import "os"

// direct is the flag of a file that is written past the kernel's cache: not here.
const direct = 0

// syncData has all on disk that was written to a file.
func syncData(f *os.File) error { return f.Sync() }

// syncFolder has the names of a folder's files on disk, where a folder can be opened.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	_ = f.Sync() // Windows knows no such thing
	return nil
}

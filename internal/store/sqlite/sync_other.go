//go:build !linux

package sqlite

import "os"

// syncData has all on disk that was written to a file.
func syncData(f *os.File) error { return f.Sync() }

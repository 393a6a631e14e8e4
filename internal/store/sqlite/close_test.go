package sqlite

import (
	"path/filepath"
	"testing"
)

// Close waits for reads that are cut off: what opens the file next finds nobody in it.
func TestCloseWaitsForReaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	reads, err := s.readers.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for s.readers.PingContext(t.Context()) == nil { // until Close has begun
		}
		ended <- reads.Close()
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := s.readers.Stats().OpenConnections; n > 0 {
		t.Errorf("%d connections are open after the end", n)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

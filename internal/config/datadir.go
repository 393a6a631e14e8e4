package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// DefaultStore returns the store of a core that was given none: orca.db in the user's data directory, which is
// $XDG_DATA_HOME/orca where that variable is set, else what the platform (a GOOS) calls for.
func DefaultStore(platform string, getenv func(string) string) (string, error) {
	dir, err := dataDir(platform, getenv)
	if err != nil {
		return "", err
	}
	return "sqlite:" + filepath.Join(dir, "orca.db"), nil
}

func dataDir(platform string, getenv func(string) string) (string, error) {
	// The XDG specification: a relative path is invalid and ignored.
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "orca"), nil
	}
	base, below := "HOME", filepath.Join(".local", "share")
	switch platform {
	case "darwin":
		below = filepath.Join("Library", "Application Support")
	case "windows":
		base, below = "LocalAppData", ""
	}
	home := getenv(base)
	if home == "" {
		return "", fmt.Errorf("no place for the store: %s is not set; say where with --store sqlite:PATH", base)
	}
	return filepath.Join(home, below, "orca"), nil
}

// MakeStoreDir makes the directory of a default store, for its owner alone, unless it is there.
func MakeStoreDir(store string) error {
	path, err := SQLitePath(store)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("no place for the store: %w; say where with --store sqlite:PATH", reason(err))
	}
	return nil
}

// reason drops the name of the system call, which tells a user nothing.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot make %s: %w", path.Path, path.Err)
	}
	return err
}

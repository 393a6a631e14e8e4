package pgserver

import "os"

// Binaries returns the folder of initdb, postgres and the like, or ErrNone.
func Binaries() (string, error) { return binaries() }

// Folder makes a folder for a server that somebody else starts, and returns what the command line has to begin with of a process
// that may run it.
func Folder() (dir string, become []string, err error) {
	who, err := account()
	if err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(socketDir(), "orca-pg-"); err != nil {
		return "", nil, err
	}
	return dir, who.prefix(), who.own(dir)
}

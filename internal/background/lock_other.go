//go:build !unix || solaris || aix

package background

import (
	"errors"
	"os"
	"syscall"
)

var (
	errLocked      = errors.New("a core runs there")
	errUnsupported = errors.New("this system has no cores in the background; run \"orca serve\"")
)

func tryLock(*os.File, bool) error { return errUnsupported }

func apart() *syscall.SysProcAttr { return nil }

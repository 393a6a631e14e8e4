//go:build unix

package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"syscall"
)

// user is who the server runs as: PostgreSQL refuses root.
type user struct{ credential *syscall.Credential }

// account returns this user, or somebody with fewer rights when it is root.
func account() (user, error) {
	if os.Geteuid() != 0 {
		return user{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return user{}, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return user{}, err
		}
		return user{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return user{}, fmt.Errorf("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run as another user")
}

// own gives a folder to the user.
func (u user) own(dir string) error {
	if u.credential == nil {
		return nil
	}
	return os.Chown(dir, int(u.credential.Uid), int(u.credential.Gid))
}

// become makes a command run as the user.
func (u user) become(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Credential = u.credential
}

// detach keeps an interrupt from the terminal away from a command.
func detach(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
}

// prefix is what a command line begins with that runs as the user.
func (u user) prefix() []string {
	if u.credential == nil {
		return nil
	}
	return []string{"setpriv", fmt.Sprintf("--reuid=%d", u.credential.Uid), fmt.Sprintf("--regid=%d", u.credential.Gid), "--clear-groups"}
}

//go:build !unix

package pgserver

import "os/exec"

// user is who the server runs as.
type user struct{}

func account() (user, error)  { return user{}, ErrNone }
func (user) own(string) error { return nil }
func (user) become(*exec.Cmd) {}
func (user) prefix() []string { return nil }
func detach(*exec.Cmd)        {}

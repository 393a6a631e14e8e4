package torture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Fabric is a network of hosts, each in a namespace with an address of its own, that are joined by a bridge in another one.
// Any two of them can be parted, so that each hears nothing of the other, in silence. All of it goes with Close, and with the
// process.
type Fabric struct {
	hub     *netspace
	subnet  string // 10.x.y, of which .1 is this process' own address
	outside string // the name of this process' own end
	hosts   []*Host
}

// Host is one of them. The zero value is this machine, as it is.
type Host struct {
	// Name is for people.
	Name string
	// Address has no port.
	Address string
	space   *netspace
}

// netspace is a network namespace that lives as long as a process which does nothing.
type netspace struct {
	holder *exec.Cmd
	stdin  io.Closer
}

func newNetspace() (*netspace, error) {
	cmd := exec.Command("unshare", "--net", "sh", "-c", "echo ready && exec cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("a network of one's own needs unshare: %w", err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		_ = stdin.Close()
		return nil, fmt.Errorf("there can be no network of one's own here: %w: %s", errors.Join(err, cmd.Wait()), stderr.String())
	}
	return &netspace{holder: cmd, stdin: stdin}, nil
}

func (n *netspace) pid() string { return fmt.Sprint(n.holder.Process.Pid) }

// prefix is what a command line begins with whose process is in the namespace.
func (n *netspace) prefix() []string {
	if n == nil {
		return nil
	}
	return []string{"nsenter", "--target", n.pid(), "--net", "--"}
}

// ip runs the command ip in the namespace, or outside of all.
func (n *netspace) ip(args ...string) error {
	line := slices.Concat(n.prefix(), []string{"ip"}, args)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, out)
	}
	return nil
}

func (n *netspace) close() error { return errors.Join(n.stdin.Close(), n.holder.Wait()) }

// NewFabric makes a network of hosts with the given names. An error says why that is not possible here.
func NewFabric(names ...string) (_ *Fabric, err error) {
	hub, err := newNetspace()
	if err != nil {
		return nil, err
	}
	tag := rand.IntN(200 * 250)
	f := &Fabric{hub: hub, subnet: fmt.Sprintf("10.%d.%d", 50+tag/250, 1+tag%250), outside: fmt.Sprintf("orca%d", tag)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, step := range []struct {
		in   *netspace
		what string
	}{
		{hub, "link add bridge type bridge"}, {hub, "link set bridge up"},
		{nil, "link add " + f.outside + " type veth peer name outside netns " + hub.pid()},
		{nil, "addr add " + f.subnet + ".1/24 dev " + f.outside}, {nil, "link set " + f.outside + " up"},
		{hub, "link set outside master bridge up"},
	} {
		if err := step.in.ip(strings.Fields(step.what)...); err != nil {
			return nil, err
		}
	}
	for i, name := range names {
		if err := f.join(name, i+11); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// join adds a host.
func (f *Fabric) join(name string, number int) error {
	space, err := newNetspace()
	if err != nil {
		return err
	}
	h := &Host{Name: name, Address: fmt.Sprintf("%s.%d", f.subnet, number), space: space}
	f.hosts = append(f.hosts, h)
	port := fmt.Sprintf("port%d", number)
	for _, step := range []struct {
		in   *netspace
		what string
	}{
		{f.hub, "link add " + port + " type veth peer name wire netns " + space.pid()}, {f.hub, "link set " + port + " master bridge up"},
		{space, "link set lo up"}, {space, "addr add " + h.Address + "/24 dev wire"}, {space, "link set wire up"},
	} {
		if err := step.in.ip(strings.Fields(step.what)...); err != nil {
			return err
		}
	}
	return nil
}

// Host returns the one with a name; without a network, this machine.
func (f *Fabric) Host(name string) *Host {
	if f != nil {
		for _, h := range f.hosts {
			if h.Name == name {
				return h
			}
		}
	}
	return &Host{Name: name}
}

// Close takes the network down. Nothing may run in it any more.
func (f *Fabric) Close() (err error) {
	for _, h := range f.hosts {
		err = errors.Join(err, h.space.close())
	}
	return errors.Join(err, f.hub.close()) // and with it the other end of what is outside
}

// part has two hosts not hear each other: what they send goes to an address that nobody has.
func part(a, b *Host) (mend func() error, err error) {
	const nobody = "02:00:00:00:00:ff"
	mend = func() error {
		return errors.Join(a.space.ip("neigh", "del", b.Address, "dev", "wire"), b.space.ip("neigh", "del", a.Address, "dev", "wire"))
	}
	return mend, errors.Join(
		a.space.ip("neigh", "replace", b.Address, "lladdr", nobody, "dev", "wire", "nud", "permanent"),
		b.space.ip("neigh", "replace", a.Address, "lladdr", nobody, "dev", "wire", "nud", "permanent"))
}

// Partitions parts two hosts now and then.
func (f *Fabric) Partitions(every, lasts time.Duration) *Trouble {
	return &Trouble{Name: "network", Every: every, Lasts: lasts,
		Begin: func(_ context.Context, _ *Scene, random *rand.Rand) (Action, func() error, error) {
			two := random.Perm(len(f.hosts))
			a, b := f.hosts[two[0]], f.hosts[two[1]]
			mend, err := part(a, b)
			return Action("parted " + a.Name + " from " + b.Name), mend, err
		}}
}

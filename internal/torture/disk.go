package torture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// DiskErrors makes writes and synchronisations of the core's files fail, with strace. An error says why that is not
// possible here.
func DiskErrors() (*Trouble, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("errors of the disk need strace: %w", err)
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "-e", "inject=fdatasync:error=EIO", "true").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("strace cannot trace here: %w: %s", err, out)
	}
	return &Trouble{Name: "disk-errors", Every: 600 * time.Millisecond, Lasts: 700 * time.Millisecond,
		Begin: func(ctx context.Context, s *Scene, random *rand.Rand) (Action, func() error, error) {
			what := diskErrors[random.IntN(len(diskErrors))]
			end, err := inject(ctx, strace, s.CorePID(), what)
			return Action(what), end, err
		}}, nil
}

// diskErrors are the ways in which the disk fails: which calls, with which error, and of how many of each thread the
// first.
var diskErrors = []string{
	"fsync,fdatasync:error=EIO:when=1+1", "fsync,fdatasync:error=EIO:when=1+2", "fdatasync:error=EIO:when=2+5",
	"pwrite64:error=EIO:when=1+1", "pwrite64:error=EIO:when=3+11", "pwrite64:error=ENOSPC:when=2+7",
	"ftruncate:error=EIO:when=1+1",
}

// detaching is how long strace may take to let go of a process.
const detaching = 2 * time.Second

// inject has a process see errors until end is called. Where there is no process, or it ends, that is no matter.
func inject(ctx context.Context, strace string, pid int, what string) (end func() error, err error) {
	if pid == 0 {
		return func() error { return nil }, nil
	}
	cmd := exec.CommandContext(ctx, strace, "-f", "-p", fmt.Sprint(pid), "-o", os.DevNull, "-e", "inject="+what)
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, _ = bufio.NewReader(said).ReadString('\n') // that it is attached, or that the process has gone
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, said)
		close(drained)
	}()
	return func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it detaches; it may have gone with the process
		select {
		case <-drained:
		case <-time.After(detaching): // it waits for ever when the process was killed as it attached
			_ = cmd.Process.Kill() // which detaches as well
			<-drained
		}
		_ = cmd.Wait() // it says how the process ended, or that there was none
		return nil
	}, nil
}

// Disk is a small filesystem of its own, in memory, that goes with Close.
type Disk struct {
	holder *exec.Cmd
	stdin  io.Closer
	path   string
}

// NewDisk makes a filesystem of some MiB. It is mounted at a folder, in a namespace of processes that Prefix starts. An
// error says why that is not possible here.
func NewDisk(folder string, size int) (*Disk, error) {
	cmd := exec.Command("unshare", "--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o size="$1"m tmpfs "$0" && echo mounted && exec cat`, folder, fmt.Sprint(size))
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
		return nil, fmt.Errorf("a small filesystem needs unshare: %w", err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		_ = stdin.Close()
		return nil, fmt.Errorf("a small filesystem cannot be mounted here: %w: %s", errors.Join(err, cmd.Wait()), stderr.String())
	}
	return &Disk{holder: cmd, stdin: stdin, path: folder}, nil
}

// Prefix is what a command line begins with whose process sees the filesystem.
func (d *Disk) Prefix() []string {
	return []string{"nsenter", "--target", fmt.Sprint(d.holder.Process.Pid), "--user", "--mount", "--preserve-credentials", "--"}
}

// Inside is where such a process sees the filesystem.
func (d *Disk) Inside() string { return d.path }

// Outside is where this process sees the filesystem.
func (d *Disk) Outside() string {
	return filepath.Join("/proc", fmt.Sprint(d.holder.Process.Pid), "root", d.path)
}

// Close unmounts it, once no process is left that sees it.
func (d *Disk) Close() error { return errors.Join(d.stdin.Close(), d.holder.Wait()) }

// Full fills the filesystem to the last byte now and then.
func (d *Disk) Full() *Trouble {
	const full Action = "full"
	ballast := filepath.Join(d.Outside(), "ballast")
	return &Trouble{Name: "disk", Every: 700 * time.Millisecond, Lasts: 2 * time.Second,
		Begin: func(context.Context, *Scene, *rand.Rand) (Action, func() error, error) {
			return full, func() error { return os.Remove(ballast) }, fill(ballast)
		}}
}

// fill writes a file until there is no room for another byte.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	for size := 1 << 20; size > 0 && err == nil; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size, err = size/2, nil
		}
	}
	if closed := f.Close(); err == nil && !errors.Is(closed, fs.ErrClosed) {
		err = closed
	}
	return err
}

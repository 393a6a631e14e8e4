package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// usage is what a process has used up to a moment. Only a core says more than its time on CPUs.
type usage struct {
	cpu                         time.Duration
	allocations, bytes, commits float64
	// Of the server of a database: the time of its processes, and everybody's transactions that wrote.
	server       time.Duration
	transactions float64
}

// plus adds what another core has used.
func (u usage) plus(o usage) usage {
	u.cpu, u.allocations, u.bytes, u.commits = u.cpu+o.cpu, u.allocations+o.allocations, u.bytes+o.bytes, u.commits+o.commits
	return u
}

// used reads the usage of a subject: of all its cores together.
func (s *subject) used(ctx context.Context) (u usage, err error) {
	if u, err = s.usedByOne(ctx); err != nil {
		return u, err
	}
	for _, other := range s.others {
		more, err := other.usedByOne(ctx)
		if err != nil {
			return u, err
		}
		u = u.plus(more)
	}
	if s.server != nil {
		u.server, u.transactions, err = s.server.used(ctx)
	}
	return u, err
}

func (s *subject) usedByOne(ctx context.Context) (u usage, err error) {
	p, err := process.NewProcessWithContext(ctx, int32(s.process.cmd.Process.Pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	times, err := p.TimesWithContext(ctx)
	if err != nil {
		return u, fmt.Errorf("time of the process: %w", err)
	}
	u.cpu = time.Duration((times.User + times.System) * float64(time.Second))
	if s.http == "" {
		return u, nil
	}
	metrics, err := s.metrics(ctx)
	u.allocations, u.bytes, u.commits = metrics["go_memstats_mallocs_total"], metrics["go_memstats_alloc_bytes_total"], metrics["orca_store_commits_total"]
	return u, err
}

// resident is the memory of a subject's process, and the most that it had, in bytes.
func (s *subject) resident(ctx context.Context) (present, peak uint64, err error) {
	p, err := process.NewProcessWithContext(ctx, int32(s.process.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("look at the process: %w", err)
	}
	m, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("memory of the process: %w", err)
	}
	return m.RSS, max(m.RSS, m.HWM), nil
}

// metrics reads the metrics without labels.
func (s *subject) metrics(ctx context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	err := s.get(ctx, "/metrics", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if name, text, ok := strings.Cut(lines.Text(), " "); ok {
				if v, err := strconv.ParseFloat(text, 64); err == nil {
					values[name] = v
				}
			}
		}
		return lines.Err()
	})
	return values, err
}

// profile writes where a core's time goes during the next seconds to a file.
func (s *subject) profile(ctx context.Context, lasts time.Duration, path string) error {
	seconds := max(1, int(lasts.Seconds()))
	return s.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), func(body io.Reader) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, body); err != nil {
			_ = f.Close() // the first error counts
			return err
		}
		return f.Close()
	})
}

func (s *subject) get(ctx context.Context, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return read(answer.Body)
}

// Bounds of a look at the disk.
const (
	mostCommits = 500
	commitsFor  = 300 * time.Millisecond
)

// commitTime is how long one durable commit takes in a folder at this moment: 4 KiB appended and synced, the median.
func commitTime(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "commit"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	var times []time.Duration
	block := make([]byte, 4<<10)
	for begun := now(); len(times) == 0 || len(times) < mostCommits && now().since(begun) < commitsFor; {
		at := now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, now().since(at))
	}
	return percentile(times, 50), nil
}

// percentile returns the smallest time that p percent of the times do not exceed; 0 when there are none. It sorts them.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[max(0, (len(times)*p+99)/100-1)]
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	// shownRefusals is how many refused windows an error names.
	shownRefusals = 3
	// tellEvery is the time between two lines of progress.
	tellEvery = time.Second
)

// sweep reprocesses the windows of a range, and counts.
type sweep struct {
	shell   *shell
	request *pb.ReprocessWindowsRequest
	json    bool

	matched int64             // -1 until the core has said it
	done    int64             // windows that were reprocessed or refused
	refused int64             // the latter
	named   []reprocessedView // the first of them
	told    time.Time
}

func newSweep(s *shell, request *pb.ReprocessWindowsRequest, asJSON bool) *sweep {
	return &sweep{shell: s, request: request, json: asJSON, matched: -1}
}

func (w *sweep) run(ctx context.Context, core *core) error {
	if err := w.follow(ctx, core); err != nil {
		return w.stopped(err)
	}
	if !w.json {
		fmt.Fprintln(w.shell.out, w.summary())
	}
	if w.refused > 0 {
		return errors.New(w.refusals())
	}
	return nil
}

// follow reads the core's stream to its end. It is opened once: another would reprocess the same windows again.
func (w *sweep) follow(ctx context.Context, core *core) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := core.console.ReprocessWindows(ctx, w.request)
	if err != nil {
		return core.explain(err)
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return w.complete(core)
		}
		if err != nil {
			return core.explain(err)
		}
		if err := w.take(event); err != nil {
			return err
		}
	}
}

func (w *sweep) take(event *pb.ReprocessWindowsResponse) error {
	switch e := event.GetEvent().(type) {
	case *pb.ReprocessWindowsResponse_Matched:
		return w.begin(e.Matched)
	case *pb.ReprocessWindowsResponse_Window:
		return w.count(viewReprocessed(e.Window))
	}
	return nil // of a newer core
}

func (w *sweep) begin(matched int64) error {
	w.matched, w.told = matched, w.shell.now()
	if w.json {
		return printJSON(w.shell.out, matchedView{matched})
	}
	if !w.request.GetDryRun() && matched > 0 {
		fmt.Fprintf(w.shell.errs, "orca: reprocessing %s\n", w.windows(matched))
	}
	return nil
}

func (w *sweep) count(v reprocessedView) error {
	w.done++
	if v.Run == nil {
		w.refused++
		if len(w.named) < shownRefusals {
			w.named = append(w.named, v)
		}
	}
	if w.json {
		return printJSON(w.shell.out, v)
	}
	if now := w.shell.now(); now.Sub(w.told) >= tellEvery && w.done < w.matched {
		w.told = now
		fmt.Fprintf(w.shell.errs, "orca: %d of %d done\n", w.done, w.matched)
	}
	return nil
}

// complete checks that a stream that ended well had all windows in it.
func (w *sweep) complete(core *core) error {
	if w.matched < 0 || !w.request.GetDryRun() && w.done < w.matched {
		return fmt.Errorf("the core at %s ended its answer too early", core.address)
	}
	return nil
}

// stopped says how far a sweep came that did not come to its end.
func (w *sweep) stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if w.matched < 0 || w.request.GetDryRun() {
		return err
	}
	return fmt.Errorf("stopped after %d of %s: %w; the new runs go on, and the same again would reprocess those windows once more",
		w.done, w.windows(w.matched), err)
}

func (w *sweep) summary() string {
	switch {
	case w.request.GetDryRun():
		return w.windows(w.matched) + " would be reprocessed"
	case w.matched == 0:
		return w.windows(0) + " in this range"
	}
	return fmt.Sprintf("new runs for %d of %s", w.done-w.refused, w.windows(w.matched))
}

// refusals names the first windows that were refused.
func (w *sweep) refusals() string {
	var texts []string
	for _, v := range w.named {
		texts = append(texts, v.String())
	}
	if more := w.refused - int64(len(w.named)); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%d of %s refused: %s", w.refused, w.windows(w.matched), strings.Join(texts, "; "))
}

// windows counts windows of the range's type.
func (w *sweep) windows(n int64) string {
	return fmt.Sprintf("%s of %s", plural(n, "window"), typeView{w.request.GetWindowTypeName(), w.request.GetWindowTypeVersion()})
}

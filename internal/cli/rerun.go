package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// rerun is one use of a verb that makes the next run of a window.
type rerun struct {
	waiting
	meta metaFlag
}

func (r *rerun) add(c *cobra.Command) {
	r.meta.add(c, "a field that the window's type marks noStore, whose value was not kept")
	r.waiting.add(c)
}

// order has the core make the run. A retry is always answered with the status PROCESSING_TRIGGERED.
type order func(ctx context.Context, core *core, metadata *structpb.Struct) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error)

// run gives the order for the window id, tells of the new run, and waits for its end if asked.
func (r *rerun) run(c *cobra.Command, at *coreFlag, id string, give order) error {
	if err := r.check(c); err != nil {
		return err
	}
	metadata, err := r.meta.parse(c)
	if err != nil {
		return err
	}
	core, err := r.shell.open(c, at)
	if err != nil {
		return err
	}
	defer core.close()
	ctx, cancel := r.limit(c.Context())
	defer cancel()

	run, status, err := give(ctx, core, metadata)
	if err != nil {
		return unsure(id, err)
	}
	v := startedView{ID: id, Run: viewRun(run)}
	if run.GetKind() == pb.RunKind_RUN_KIND_REPROCESS {
		v.Status = word(status, "")
	}
	var waited error
	if r.wait {
		waited = r.await(ctx, core, run.GetRevision(), &v)
	} else if !r.json {
		r.say("window %s: %s%s", id, runText(run), remark(status))
	}
	if r.json {
		if err := printJSON(r.shell.out, v); err != nil {
			return err
		}
	}
	if waited == nil && status == pb.WindowEmitStatus_TRIGGERING_FAILED {
		return fmt.Errorf("none of the algorithms of window %s can run; %q says why", id, "orca window "+id)
	}
	return waited
}

// remark says what a run sets in motion when that is not what people expect.
func remark(status pb.WindowEmitStatus_StatusEnum) string {
	switch status {
	case pb.WindowEmitStatus_PROCESSING_TRIGGERED:
		return ""
	case pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS:
		return "; no algorithm is triggered by its type"
	case pb.WindowEmitStatus_TRIGGERING_FAILED:
		return "; none of its algorithms can run"
	}
	return fmt.Sprintf("; the core answered the unknown status %s", status)
}

// unsure says, of an error that leaves open whether the run was made, where that is seen: the order is not repeated,
// since it could make another run.
func unsure(id string, err error) error {
	look := fmt.Sprintf("%q shows whether the run was made", "orca window "+id)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; %s", look)
	case code(err) == codes.Unavailable || code(err) == codes.DeadlineExceeded:
		return fmt.Errorf("%w; %s", err, look)
	}
	return err
}

package rpc

import (
	"strconv"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ids writes and reads the window ids that people see: the ledger's tag and the window's number in it, so that an id
// of another ledger is not taken for one of this.
type ids struct{ tag string }

func (x ids) text(id orca.WindowID) string { return x.tag + "-" + strconv.FormatInt(int64(id), 10) }

func (x ids) parse(text string) (orca.WindowID, error) {
	tag, number, ok := strings.Cut(text, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case text == "":
		return 0, orca.Errorf(orca.Invalid, "id is empty: give the orca-window-id that the emit was answered with")
	case !ok || err != nil || n < 1:
		return 0, orca.Errorf(orca.NotFound, "there is no window %q; ids look like %s", orca.Shown(text), x.text(42))
	case tag != x.tag:
		return 0, orca.Errorf(orca.NotFound, "there is no window %q here: it is of another ledger, this one's ids begin with %s-", orca.Shown(text), x.tag)
	}
	return orca.WindowID(n), nil
}

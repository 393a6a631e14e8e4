package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBenchIsAskedForWhatThereIs(t *testing.T) {
	t.Parallel()
	const see = " (see \"orca bench --help\")\n"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--shape", "star"}, "orca: --shape: there is no shape \"star\"; there are single, chain, diamond, fan, cross, " +
			"chain-lookback, diamond-lookback, fan-lookback, cross-lookback, single-self, chain-self, waiting" + see},
		{[]string{"--shape", "chain,waiting"}, "orca: --shape waiting is a run of its own; want it alone" + see},
		{[]string{"--shape", "waiting", "--overload"}, "orca: --shape waiting is a run of its own; want it alone" + see},
		{[]string{"--loop", "mobius"}, "orca: --loop \"mobius\": want closed or open" + see},
		{[]string{"--concurrency", "16,0"}, "orca: --concurrency 0: want at least 1" + see},
		{[]string{"--cores", "2"}, "orca: --store sqlite --cores 2: want sqlite with one core, or postgres, which is a run of its own" + see},
		{[]string{"--store", "postgres", "--overload"}, "orca: --store postgres --cores 1: want sqlite with one core, or postgres, which is a run of its own" + see},
		{[]string{"--turns", "0"}, "orca: --turns, --for, --assets and --windows must be above 0, and --rate not below it" + see},
	} {
		got := terminal{}.orca(t.Context(), append([]string{"bench"}, test.args...)...)
		if diff := cmp.Diff(said{Code: 2, Err: test.want}, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.args, diff)
		}
	}
}

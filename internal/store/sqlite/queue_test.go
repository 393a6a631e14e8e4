package sqlite

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What nothing waits for may wait for others, a moment at most, and nothing else waits.
func TestPatience(t *testing.T) {
	t.Parallel()
	type batch struct {
		Size int
		At   time.Duration
	}
	patient, urgent := func() *request { return &request{patient: true} }, func() *request { return &request{} }
	for what, tc := range map[string]struct {
		add  func(*queue)
		want []batch
	}{
		"what is urgent is written at once": {func(q *queue) { q.add(urgent()) }, []batch{{1, 0}}},
		"what is patient waits a moment":    {func(q *queue) { q.add(patient()); q.add(patient()) }, []batch{{2, maxPatience}}},
		"its patience is not prolonged": {func(q *queue) { q.add(patient()); time.Sleep(maxPatience / 2); q.add(patient()) },
			[]batch{{2, maxPatience}}},
		"what is urgent takes it along": {func(q *queue) { q.add(patient()); time.Sleep(maxPatience / 2); q.add(urgent()) },
			[]batch{{2, maxPatience / 2}}},
		"another one waits anew": {func(q *queue) { q.add(urgent()); time.Sleep(time.Nanosecond); q.add(patient()) },
			[]batch{{1, 0}, {1, time.Nanosecond + maxPatience}}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q, begun := newQueue(Config{}.withDefaults()), time.Now()
				ctx, end := context.WithCancel(t.Context())
				var got []batch
				over := make(chan struct{})
				go func() {
					defer close(over)
					for b := q.take(ctx, nil, nil, nil); b != nil; b = q.take(ctx, nil, nil, nil) {
						got = append(got, batch{len(b), time.Since(begun)})
					}
				}()
				synctest.Wait()
				tc.add(q)
				time.Sleep(time.Second)
				end()
				<-over
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

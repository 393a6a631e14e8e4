package cli

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

// maxPage is how many rows are asked for at once.
const maxPage = 500

// response is the answer to it.
type response interface{ GetPageToken() string }

// list is a walk over all pages of one of the core's lists.
type list[Q any, A response, T any] struct {
	method func(context.Context, Q, ...grpc.CallOption) (A, error)
	// page returns the question for size rows after the row that token names.
	page func(size int32, token string) Q
	rows func(A) []T
	// more is set when the walk ended at its limit and there were more rows.
	more bool
}

// walk yields up to limit rows, or all when limit is 0.
func (l *list[Q, A, T]) walk(ctx context.Context, c *core, limit int) iter.Seq2[T, error] {
	if limit == 0 {
		limit = math.MaxInt
	}
	return func(yield func(T, error) bool) {
		var none T
		for token, left := "", limit; ; {
			answer, err := ask(ctx, c, l.method, l.page(int32(min(left, maxPage)), token))
			if err != nil {
				yield(none, err)
				return
			}
			rows := l.rows(answer)
			for _, row := range rows[:min(left, len(rows))] {
				if !yield(row, nil) {
					return
				}
			}
			next := answer.GetPageToken()
			if l.more = next != "" || len(rows) > left; next == "" || len(rows) >= left {
				return
			}
			if next == token {
				yield(none, fmt.Errorf("the core at %s gives the same page of the list again and again", c.address))
				return
			}
			token, left = next, left-len(rows)
		}
	}
}

// limitFlag bounds a list.
type limitFlag struct{ limit int }

const defaultLimit = 100

func (f *limitFlag) add(c *cobra.Command) {
	c.Flags().IntVar(&f.limit, "limit", defaultLimit, "show at most this many; 0 shows all")
}

func (f *limitFlag) check(c *cobra.Command) error {
	if f.limit < 0 {
		return wrong(c, "--limit %d: want a whole number, at least 0", f.limit)
	}
	return nil
}

// sayMore tells people and programs that a list was cut.
func (s *shell) sayMore(more bool, limit int) {
	if more {
		fmt.Fprintf(s.errs, "orca: there are more than %d; --limit 0 shows all\n", limit)
	}
}

// sayNone tells that a list is empty, where people would see nothing.
func (s *shell) sayNone(n int, err error, text string) {
	if n == 0 && err == nil {
		fmt.Fprintln(s.errs, "orca: "+text)
	}
}

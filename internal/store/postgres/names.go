package postgres

import (
	"regexp"
	"sync"

	"github.com/jackc/pgx/v5"
)

// names puts the names of tables into statements: {run} stands for the table run of the store's schema.
type names struct {
	schema string
	done   sync.Map // by text, as there are few
}

var tableName = regexp.MustCompile(`\{(\w+)\}`)

func (n *names) in(statement string) string {
	if done, ok := n.done.Load(statement); ok {
		return done.(string)
	}
	done := tableName.ReplaceAllStringFunc(statement, func(name string) string {
		return pgx.Identifier{n.schema, name[1 : len(name)-1]}.Sanitize()
	})
	n.done.Store(statement, done)
	return done
}

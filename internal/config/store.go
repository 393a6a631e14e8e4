package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// IsPostgres reports whether a store is the URL of a PostgreSQL database.
func IsPostgres(store string) bool {
	return strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://")
}

// ShownStore is a store for people and logs: the URL of a database without password and parameters.
func ShownStore(store string) string {
	if !IsPostgres(store) {
		return store
	}
	u, err := url.Parse(store)
	if err != nil {
		return "postgres://…"
	}
	bare := url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
	if u.User != nil {
		bare.User = url.User(u.User.Username())
	}
	return bare.String()
}

// maxSchema is how long a name may be in PostgreSQL, in bytes.
const maxSchema = 63

func validSchema(name string) bool {
	return name != "" && len(name) <= maxSchema && !strings.HasPrefix(name, "pg_") &&
		strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) < 0
}

// SQLitePath returns the file of a store of the form sqlite:PATH.
func SQLitePath(store string) (string, error) {
	path, ok := strings.CutPrefix(store, "sqlite:")
	if authority, url := strings.CutPrefix(path, "//"); url {
		path, ok = authority, ok && strings.HasPrefix(authority, "/")
	}
	switch {
	case !ok || path == "":
		return "", fmt.Errorf("store %q: want %s", store, storeForm)
	case path == ":memory:" || strings.HasSuffix(path, "/"):
		return "", fmt.Errorf("store %q: a store is a file: want %s", store, storeForm)
	}
	return path, nil
}

const directForm = "postgres://USER:PASSWORD@HOST:PORT/DATABASE"

const storeForm = "sqlite:PATH, such as sqlite:/var/lib/orca/orca.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE"

func checkStore(store string) error {
	if store == "" {
		return nil
	}
	if IsPostgres(store) {
		if _, err := url.Parse(store); err != nil {
			return errors.New("want " + storeForm) // its text would show the password
		}
		return nil
	}
	if _, err := SQLitePath(store); err != nil {
		return errors.New("want " + storeForm)
	}
	return nil
}

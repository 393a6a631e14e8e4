package rpc

import (
	"encoding/base64"
	"encoding/json"

	"google.golang.org/protobuf/proto"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Bounds of a page.
const (
	defaultPage = 100
	largestPage = 1000
	// maxPageBytes is about what the rows of a page of windows or results come to; a page has at least one, whatever its
	// size.
	maxPageBytes = 4 << 20
)

// pageBytes is what the rows of a page come to so far.
type pageBytes int

// take adds a row, and reports false for one that would be too much.
func (b *pageBytes) take(row proto.Message) bool {
	size := proto.Size(row)
	if *b > 0 && int(*b)+size > maxPageBytes {
		return false
	}
	*b += pageBytes(size)
	return true
}

func pageSize(asked int32) int {
	switch {
	case asked <= 0:
		return defaultPage
	case asked > largestPage:
		return largestPage
	}
	return int(asked)
}

// token turns the key of a page's last row into an opaque text.
func token[T any](key T) string {
	b, err := json.Marshal(key)
	if err != nil {
		panic(err) // keys are strings and integers
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// readToken turns it back; the empty token gives the zero key.
func readToken[T any](text string) (key T, err error) {
	if text == "" {
		return key, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &key)
	}
	if err != nil {
		return key, orca.Errorf(orca.Invalid, "page_token: %q was not given by this list; begin without one", orca.Shown(text))
	}
	return key, nil
}

// pageOf returns the first rows that are wanted, and whether there are more.
func pageOf[T any](rows []T, asked int32, wanted func(T) bool) (page []T, more bool) {
	size := pageSize(asked)
	for _, r := range rows {
		if !wanted(r) {
			continue
		}
		if len(page) == size {
			return page, true
		}
		page = append(page, r)
	}
	return page, false
}

package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"

	"google.golang.org/protobuf/types/known/structpb"
)

// scratch is what a conversion works with and does not hand out. Scratches are pooled, since a conversion is made for
// each window and each result; one belongs to one goroutine from takeScratch to giveBack.
type scratch struct {
	buf []byte
	// mac hashes under secret; making it costs as much as several hashes.
	mac    hash.Hash
	secret []byte
	sum    []byte
}

// maxScratch bounds the buffer that a pooled scratch keeps.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func takeScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) giveBack() {
	if cap(s.buf) > maxScratch {
		s.buf = nil
	}
	scratches.Put(s)
}

// keyed returns the HMAC-SHA-256 of a value, equal for values that count as equal: the same kind and value, numbers as
// float64 with −0 = 0 and NaN = NaN, lists and structs deeply. Hashes are stored, so what goes into them never changes.
// The value is one that was encoded before, so it can be.
func (s *scratch) keyed(v *structpb.Value, secret []byte) [sha256.Size]byte {
	if s.mac == nil || !bytes.Equal(s.secret, secret) {
		s.mac, s.secret = hmac.New(sha256.New, secret), bytes.Clone(secret)
	}
	s.mac.Reset()
	s.buf, _ = appendValue(s.buf[:0], v, comparing, 1)
	s.mac.Write(s.buf)
	s.sum = s.mac.Sum(s.sum[:0])
	return [sha256.Size]byte(s.sum)
}

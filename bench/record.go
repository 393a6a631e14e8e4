package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// instant is a moment of this machine's clock, in nanoseconds since the epoch. The processes of a run compare them.
type instant int64

func now() instant { return instant(time.Now().UnixNano()) }

func (i instant) since(earlier instant) time.Duration { return time.Duration(i - earlier) }

// record says that a processor sent the result of a node of a window, and when; or, with the node registered, that its
// core knows the processor, and when it began to tell it.
type record struct {
	window int64
	node   int
	at     instant
}

const registered = math.MaxUint32

const recordSize = 8 + 4 + 8

func (r record) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(r.window))
	to = binary.LittleEndian.AppendUint32(to, uint32(r.node))
	return binary.LittleEndian.AppendUint64(to, uint64(r.at))
}

// readRecords hands each record of a stream to take, until the stream ends.
func readRecords(from io.Reader, take func(record)) error {
	for b := make([]byte, recordSize); ; {
		if _, err := io.ReadFull(from, b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what a processor reports: %w", err)
		}
		take(record{
			window: int64(binary.LittleEndian.Uint64(b)), node: int(binary.LittleEndian.Uint32(b[8:])),
			at: instant(binary.LittleEndian.Uint64(b[12:])),
		})
	}
}

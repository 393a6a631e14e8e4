package wire

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// MetadataMatches reports whether stored metadata holds every field of want with a value that counts as equal, as in a
// lookback: −0 is 0, NaN is NaN, and a value of no kind is null. An empty or missing want matches everything.
func MetadataMatches(metadata []byte, want *structpb.Struct) (bool, error) {
	if len(want.GetFields()) == 0 {
		return true, nil
	}
	have := new(structpb.Struct)
	if err := proto.Unmarshal(metadata, have); err != nil {
		return false, fmt.Errorf("decode stored metadata: %w", err)
	}
	s := takeScratch()
	defer s.giveBack()
	for name, value := range want.GetFields() {
		found, there := have.GetFields()[name]
		if !there {
			return false, nil
		}
		var err error
		if s.buf, err = appendValue(s.buf[:0], value, comparing, 1); err != nil {
			return false, within("metadata", within(quote(name), err))
		}
		wanted := len(s.buf)
		if s.buf, err = appendValue(s.buf, found, comparing, 1); err != nil {
			return false, fmt.Errorf("read stored metadata: %w", err)
		}
		if !bytes.Equal(s.buf[:wanted], s.buf[wanted:]) {
			return false, nil
		}
	}
	return true, nil
}

package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// MetadataMatches reports whether stored metadata holds every field of want with an equal value. An empty or missing
// want matches everything.
func MetadataMatches(stored []byte, want *structpb.Struct) (bool, error) {
	if len(want.GetFields()) == 0 {
		return true, nil
	}
	var have structpb.Struct
	if err := proto.Unmarshal(stored, &have); err != nil {
		return false, fmt.Errorf("read stored metadata: %w", err)
	}
	for name, w := range want.GetFields() {
		if h, ok := have.GetFields()[name]; !ok || !proto.Equal(h, w) {
			return false, nil
		}
	}
	return true, nil
}

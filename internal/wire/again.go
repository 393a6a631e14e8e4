package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orca-telemetry/orca/internal/orca"
)

// FullMetadata returns the whole metadata of a window that is to run again: what is stored of it, and the noStore fields
// of its type, which were not kept and are given again. It is nil when the type has none. Errors: orca.Precondition
// names the fields that are missing, orca.Invalid those that are not noStore and cannot be given.
func FullMetadata(storedBytes []byte, t orca.WindowType, given *structpb.Struct) ([]byte, error) {
	if err := checkGiven(t, given); err != nil || !t.HasNoStore() {
		return nil, err
	}
	var whole structpb.Struct
	if err := proto.Unmarshal(storedBytes, &whole); err != nil {
		return nil, fmt.Errorf("decode the metadata of a %v window: %w", t.ID, err)
	}
	if whole.Fields == nil {
		whole.Fields = map[string]*structpb.Value{}
	}
	for name, value := range given.GetFields() {
		whole.Fields[name] = value
	}
	s := takeScratch()
	defer s.giveBack()
	full, err := s.metadata(whole.Fields)
	if err != nil {
		return nil, within("metadata", err)
	}
	return full, nil
}

// checkGiven refuses to run a window again with fields that are missing, or that are not noStore.
func checkGiven(t orca.WindowType, given *structpb.Struct) error {
	noStore := map[string]bool{}
	var missing, others []string
	for _, f := range t.Fields {
		if !f.NoStore {
			continue
		}
		noStore[f.Name] = true
		if _, there := given.GetFields()[f.Name]; !there {
			missing = append(missing, f.Name)
		}
	}
	for name := range given.GetFields() {
		if !noStore[name] {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		return refuse("metadata", "has %s, which the window keeps as it was emitted: give the noStore fields of %v alone", list(others), t.ID)
	}
	if len(missing) > 0 {
		return orca.Errorf(orca.Precondition, "metadata: lacks %s, which %v does not store: give every noStore field again", list(missing), t.ID)
	}
	return nil
}

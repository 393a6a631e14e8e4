package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field numbers of service.proto, of the messages that are encoded here and not by package proto.
const (
	requestExecID     protowire.Number = 1
	requestWindow     protowire.Number = 2
	requestResults    protowire.Number = 3 // deprecated
	requestAlgorithms protowire.Number = 4 // deprecated
	requestExecutions protowire.Number = 5

	executionAlgorithm    protowire.Number = 1
	executionDependencies protowire.Number = 2
	executionSelf         protowire.Number = 3

	dependencyAlgorithm protowire.Number = 1
	dependencyRows      protowire.Number = 2

	rowResult protowire.Number = 1
	rowWindow protowire.Number = 2

	answerAlgorithm protowire.Number = 1
	answerResult    protowire.Number = 2
	answerWindow    protowire.Number = 3

	windowFrom        protowire.Number = 1
	windowTo          protowire.Number = 2
	windowTypeName    protowire.Number = 3
	windowTypeVersion protowire.Number = 4
	windowOrigin      protowire.Number = 5
	windowMetadata    protowire.Number = 6

	resultStatusField    protowire.Number = 1
	resultValueField     protowire.Number = 2
	resultArrayField     protowire.Number = 3
	resultStructField    protowire.Number = 4
	resultTimestampField protowire.Number = 5
	resultErrorField     protowire.Number = 6

	arrayValues protowire.Number = 1
)

// Field numbers of google/protobuf/struct.proto and timestamp.proto.
const (
	structFields protowire.Number = 1
	entryKey     protowire.Number = 1
	entryValue   protowire.Number = 2
	listValues   protowire.Number = 1

	valueNull   protowire.Number = 1
	valueNumber protowire.Number = 2
	valueString protowire.Number = 3
	valueBool   protowire.Number = 4
	valueStruct protowire.Number = 5
	valueList   protowire.Number = 6

	timeSeconds protowire.Number = 1
	timeNanos   protowire.Number = 2
)

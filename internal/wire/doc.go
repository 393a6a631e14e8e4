// Package wire turns the messages of the contract into Orca's nouns and back. It is the one place where protobuf is
// read or written on behalf of the core: other packages carry what it encoded as opaque bytes.
//
// Conversions are total. A value that the nouns have no place for is an error of kind orca.Invalid which names the
// field, the value and what to do, never a silent default; what the nouns hold comes back equal. The package does no
// I/O, keeps no clock and knows no registry: what a message means beside other messages is decided elsewhere.
//
// Three forms of a google.protobuf.Struct are told apart. Results are kept as they were sent, to the bit. Metadata is
// stored in one fixed encoding (fields sorted by name, a value of no kind is null). For comparing, numbers that count
// as equal are brought to one form first: −0 is 0, and every NaN is the same NaN.
package wire

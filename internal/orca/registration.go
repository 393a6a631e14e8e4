package orca

import "strings"

// Registration is what a processor announces: the whole of what the instance at its address runs.
type Registration struct {
	Processor string
	Project   string
	Runtime   string
	// Connection is the address as it was announced, with or without a scheme.
	Connection string
	Algorithms []Algorithm
}

// AddressOf returns a connection string without its scheme, which is an instance's identity: addresses are otherwise
// compared literally.
func AddressOf(connection string) string {
	if _, rest, found := strings.Cut(connection, "://"); found {
		return rest
	}
	return connection
}

// DefinitionHash identifies the content of an algorithm's definition.
type DefinitionHash [16]byte

// Instance is one address that serves a processor.
type Instance struct {
	// Address is the connection string without its scheme, and the instance's identity.
	Address    string
	Connection string
	Processor  string
	Runtime    string
	// Algorithms it announced, each with the definition that it announced.
	Algorithms   map[AlgorithmID]DefinitionHash
	RegisteredAt Time
}

// Processor is a named service that belongs to one project.
type Processor struct {
	Name string
	// Project is empty until one was said.
	Project string
	// Newest is what its newest registration announced, whichever instance made it.
	Newest []AlgorithmID
}

// KnownAlgorithm is an algorithm that was announced at some time.
type KnownAlgorithm struct {
	Algorithm Algorithm
	// Runtime is that of the instance which announced it last.
	Runtime string
	// Retired algorithms trigger no more.
	Retired bool
	// RetiredAt is when it was retired; zero when it is not.
	RetiredAt Time
}

// Registry is the durable registry as a whole, in no particular order.
type Registry struct {
	// Version grows by one with each change.
	Version     int64
	WindowTypes []WindowType
	Processors  []Processor
	Algorithms  []KnownAlgorithm
	Instances   []Instance
}

// RegistryChange is one step from a registry to the next. Everything in it is written, or nothing.
type RegistryChange struct {
	// Base is the version that the change was worked out from; with any other in the store it is refused.
	Base int64
	// WindowTypes, Processors, Algorithms and Instances replace those of the same identity, or are new.
	WindowTypes []WindowType
	Processors  []Processor
	Algorithms  []KnownAlgorithm
	Instances   []Instance
	// Forgotten are addresses of instances that are removed.
	Forgotten []string
}

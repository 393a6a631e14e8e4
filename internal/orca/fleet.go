package orca

import (
	"fmt"
	"time"
)

// InstanceState is whether an instance takes work.
type InstanceState uint8

// The states.
const (
	// Connecting: it has not answered yet.
	Connecting InstanceState = iota + 1
	Serving
	// NotServing: it answers, and takes no work.
	NotServing
	// Unreachable: it does not answer.
	Unreachable
)

func (s InstanceState) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Serving:
		return "serving"
	case NotServing:
		return "not serving"
	case Unreachable:
		return "unreachable"
	}
	return fmt.Sprintf("instance state %d", uint8(s))
}

// ProcessorStatus is how the core sees a processor now.
type ProcessorStatus struct {
	Name string
	// Queued requests wait for a place at an instance.
	Queued int
	// Oldest is the lowest position among them; zero when there is none.
	Oldest    Position
	Instances []InstanceStatus
}

// InstanceStatus is how the core sees one instance now.
type InstanceStatus struct {
	Address string
	State   InstanceState
	// Reason says why it is not serving.
	Reason string
	// LastSeen is its last answer; zero before the first.
	LastSeen Time
	// Silent is for how long it has given no sign of life, neither an answer nor a registration, since this core began
	// to ask it. Steps of the system's clock do not count.
	Silent   time.Duration
	InFlight int
	// Metrics of the last heartbeat; nil when it sent none.
	Metrics *ProcessorMetrics
}

// ProcessorMetrics is what an instance reports of itself.
type ProcessorMetrics struct {
	ActiveTasks   int32
	MemoryBytes   int64
	CPUPercent    float32
	UptimeSeconds int64
}

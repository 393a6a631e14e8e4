package orca

// Execution is part of a run's DAG as it is handed to a processor in one request.
type Execution struct {
	// Input is the window with noStore metadata, for the algorithms of this run.
	Input Window
	// Stored is the window that in-run rows carry.
	Stored     Window
	Algorithms []AlgorithmExecution
}

// AlgorithmExecution is one algorithm to run with everything that it is handed.
type AlgorithmExecution struct {
	Algorithm *Algorithm
	// Dependencies has one entry per dependency of the definition, in its order.
	Dependencies []DependencyRows
	// Self holds the algorithm's own past results, newest first.
	Self []Row
}

// DependencyRows is what one dependency hands over.
type DependencyRows struct {
	// Algorithm is the definition of the dependency as the plan has it.
	Algorithm *Algorithm
	// Current is the encoded result in the same run; nil when the dependency is not a node of the run.
	Current []byte
	// Past holds what the lookback found, newest first.
	Past []Row
}

// Row is one past result with its window.
type Row struct {
	Window Window
	// Result is the contract's encoded Result message.
	Result []byte
}

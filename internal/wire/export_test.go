package wire

// Known counts the definitions that an encoder remembers.
func (e *Encoder) Known() int {
	n := 0
	e.definitions.Range(func(any, any) bool { n++; return true })
	return n
}

// RequiredAdvice is for the test that it is complete.
var RequiredAdvice = requiredAdvice

// Plain is for the test that it agrees with the rules.
var Plain = plain

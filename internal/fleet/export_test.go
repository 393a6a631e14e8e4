package fleet

// Asks reports whether it is this core that asks the instance at an address how it is.
func (f *Fleet) Asks(address string) bool { return f.asks(address) }

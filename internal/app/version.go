package app

import "runtime/debug"

// version is set by the linker in release builds.
var version string

// Version returns the version of this program: the linked one, else the module's, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

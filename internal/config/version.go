package config

import "runtime/debug"

// version is set by a release: -ldflags "-X github.com/orca-telemetry/orca/internal/config.version=v1.2.3".
var version string

// Version returns which build of Orca this is: what the release set, else the module's version, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

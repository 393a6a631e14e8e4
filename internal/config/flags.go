package config

import (
	"fmt"

	"github.com/spf13/pflag"
)

// AddFlags gives fs one flag per setting, which write into c. The values that c has now are the defaults shown.
func AddFlags(fs *pflag.FlagSet, c *Config) {
	for _, s := range Settings() {
		f := fs.VarPF(&flagValue{setting: s, config: c}, s.Name, "", s.usage())
		if s.Kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// usage is the flag's line of help, without the default, which the flag library adds unless it is empty.
func (s Setting) usage() string {
	if s.Absent != "" {
		return fmt.Sprintf("%s (default %s)", s.Effect, s.Absent)
	}
	return s.Effect
}

// ReadEnvironment sets in c, from the variables of its settings, what the flags of fs did not set. A variable that is
// set to nothing counts as not set.
func ReadEnvironment(fs *pflag.FlagSet, c *Config, getenv func(string) string) error {
	for _, s := range Settings() {
		value := getenv(s.Env())
		if value == "" || fs.Changed(s.Name) {
			continue
		}
		if err := s.Set(c, value); err != nil {
			return fmt.Errorf("%s=%s: %w", s.Env(), Quoted(value), err)
		}
	}
	return nil
}

// flagValue is a setting of one Config as the flag library wants it.
type flagValue struct {
	setting Setting
	config  *Config
}

func (v *flagValue) String() string {
	if v.config == nil { // the flag library compares with a zero value to learn what "no default" looks like
		return ""
	}
	return v.setting.Value(*v.config)
}

func (v *flagValue) Set(text string) error { return v.setting.Set(v.config, text) }

func (v *flagValue) Type() string { return v.setting.Kind }

package cmd

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/pflag"
)

// durationValue is a flag that takes a duration with a d for days, such as 90d
// or 1d12h, as Caddy's own options do.
type durationValue time.Duration

func (d *durationValue) Set(text string) error {
	parsed, err := caddy.ParseDuration(text)
	*d = durationValue(parsed)
	return err
}

func (d *durationValue) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (*durationValue) Type() string { return "duration" }

// durationFlag declares a flag that takes a duration. Its default is 0, which
// usage explains.
func durationFlag(f *pflag.FlagSet, name, usage string) { f.Var(new(durationValue), name, usage) }

// duration returns the value of a flag that [durationFlag] declared.
func (c *call) duration(name string) time.Duration {
	d, _ := c.Flags().Lookup(name).Value.(*durationValue) // declared as such
	return time.Duration(*d)
}

package cmd

import (
	"errors"
	"maps"
	"strings"

	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// boundFlags declares the flags for the limits of a key. In an update, an empty value
// removes a limit.
func boundFlags(f *pflag.FlagSet) {
	planFlag(f)
	f.String("rate", "", `How fast requests may follow each other, such as 10/s, 600/m or "10/s burst 20"`)
	f.String("quota", "", "How much may be used, such as 1000/day or 10000/month")
	f.Int("concurrent", 0, "How many concurrent requests are allowed")
	f.StringSlice("from", nil, "Networks or addresses that the key may be used from, such as 192.0.2.0/24")
	f.StringArray("resource", nil, "Value of a resource that the key may address, such as model=llama-3*; may be repeated")
}

func planFlag(f *pflag.FlagSet) { f.String("plan", "", "Plan of the configuration") }

// takePlan adds the plan that --plan names to the body of a call.
func (c *call) takePlan(body map[string]any) {
	if c.Flags().Changed("plan") {
		body["plan"] = c.flag("plan")
	}
}

// takeBounds adds the limits from the flags of [boundFlags] to a key in the body of a
// call.
func (c *call) takeBounds(key map[string]any) error {
	c.takePlan(key)
	limits := map[string]any{}
	for _, name := range []string{"rate", "quota"} {
		if c.Flags().Changed(name) {
			limits[name] = c.flag(name)
		}
	}
	if c.Flags().Changed("concurrent") {
		limits["concurrent"], _ = c.Flags().GetInt("concurrent") // declared as such
		if limits["concurrent"] == 0 {
			limits["concurrent"] = nil
		}
	}
	if len(limits) > 0 {
		key["limits"] = limits
	}
	if c.Flags().Changed("from") {
		key["addresses"] = append([]string{}, c.list("from")...)
	}
	given, _ := c.Flags().GetStringArray("resource") // declared as such
	resources := map[string][]string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		switch {
		case !ok || name == "":
			return usagef("--resource takes the name of a resource and a value, such as model=llama-3*")
		case value != "":
			resources[name] = append(resources[name], value)
		case resources[name] == nil:
			resources[name] = []string{}
		}
	}
	if len(resources) > 0 {
		key["resources"] = resources
	}
	return nil
}

// flaggedKey is flagged for a call about one key. more has further fields and flags.
func flaggedKey(err error, more map[string]string) error {
	flags := map[string]string{
		"keys[0].scopes": "--scopes", "keys[0].endpoints": "--endpoints", "keys[0].description": "--description", "keys[0].expires_at": "--expires-in",
		"keys[0].plan": "--plan", "keys[0].limits.rate": "--rate", "keys[0].limits.quota": "--quota", "keys[0].limits.concurrent": "--concurrent",
		"keys[0].limits": "--concurrent", "keys[0].addresses": "--from", "keys[0].resources": "--resource",
	}
	if r, ok := errors.AsType[refusedError](err); ok && strings.HasPrefix(r.Field, "keys[0].resources.") {
		flags[r.Field] = "--resource"
	}
	maps.Copy(flags, more)
	return flagged(err, flags)
}

// boundsOf describes the limits of a key in a few words, for a table.
func boundsOf(k *manage.Key) string {
	var list []string
	if k.Plan != "" {
		list = append(list, "plan "+k.Plan)
	}
	list = append(list, manage.LimitTexts(k.Limits)...)
	if k.Addresses != nil {
		list = append(list, "from "+strings.Join(k.Addresses, " "))
	}
	return strings.Join(append(list, manage.ValueTexts(k.Resources)...), ", ")
}

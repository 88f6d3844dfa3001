package cmd

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func updateKeyCommand() *cobra.Command {
	cmd := command("update ID", "Changes a key; flags that are not given leave their fields unchanged", 1, 1, updateKey, func(f *pflag.FlagSet) {
		f.StringSlice("scopes", nil, "Scopes that the key has, or All")
		f.StringSlice("endpoints", nil, "Endpoints that the key is limited to, such as /package.Service/Method")
		f.String("description", "", "What the key is for")
		durationFlag(f, "expires-in", "Time after which the key expires, such as 90d or 720h; 0s is never")
		f.String("action", "overwrite", "How to change the given lists: overwrite, merge or remove")
	}, boundFlags)
	cmd.Long = `
Changes a key. The key stays the same, and live requests that the change no
longer permits end.

The lists of --scopes, --endpoints, --from and --resource replace those of the
key, unless --action is merge or remove. An empty value removes a limit:
--plan "", --rate "", --quota "", --concurrent 0, --from "", --resource model=`
	return cmd
}

func updateKey(c *call) error {
	ids, err := c.keyIDs()
	if err != nil {
		return err
	}
	key := map[string]any{"id": ids[0]}
	for _, name := range []string{"scopes", "endpoints"} {
		if c.Flags().Changed(name) {
			key[name] = append([]string{}, c.list(name)...)
		}
	}
	if c.Flags().Changed("description") {
		key["description"] = c.flag("description")
	}
	if c.Flags().Changed("expires-in") && c.duration("expires-in") == 0 {
		key["expires_at"] = nil
	} else if err := c.takeExpiry(key); err != nil {
		return err
	}
	if err := c.takeBounds(key); err != nil {
		return err
	}
	if len(key) == 1 {
		return usagef("give at least one flag with a change")
	}
	text, _, err := c.ask("PATCH", []string{"keys"}, nil, map[string]any{"keys": []any{key}, "action": c.flag("action")})
	if err != nil {
		return flaggedKey(err, map[string]string{"keys[0].id": ids[0], "action": "--action"})
	}
	return c.say(text, "Changed %s.", ids[0])
}

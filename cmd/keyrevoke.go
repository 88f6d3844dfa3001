package cmd

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// revokeFlags are those that choose among a user's keys.
var revokeFlags = []string{"app", "created-before", "minted-by", "all"}

func revokeFlagsOf(f *pflag.FlagSet) {
	f.String("file", "", "File that whole credentials are read from")
	f.String("user", "", "Revoke those keys of this user that all of the following choose")
	f.String("app", "", "Keys of this app")
	f.String("created-before", "", "Keys made before this time: 2030-12-31T23:59:59Z, 2030-12-31, or 24h for those older than a day")
	f.String("minted-by", "", "Keys that were made with the key of this public id, and what was made with those in turn")
	f.Bool("all", false, "Every key of the user")
}

// choosesKeys says whether keys are described rather than named.
func (c *call) choosesKeys() bool {
	for _, name := range append([]string{"user"}, revokeFlags...) {
		if c.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// revokeMany revokes those of a user's keys that the flags choose.
func revokeMany(c *call) error {
	if len(c.args) > 0 || c.flag("file") != "" {
		return usagef("name keys, or choose among those of a user by --%s, and not both", strings.Join(revokeFlags, ", --"))
	}
	user, err := c.required("user")
	if err != nil {
		return err
	}
	body := map[string]any{}
	for flag, field := range map[string]string{"app": "app_id", "minted-by": "minted_by"} {
		if value := c.flag(flag); value != "" {
			body[field] = value
		}
	}
	if minter, ok := body["minted_by"]; ok && !keys.IsPublicID(minter.(string)) {
		return usagef("--minted-by takes the public id of a key, which looks like cap_0123456789AB")
	}
	before, err := c.moment("created-before")
	if err != nil {
		return err
	}
	if before != "" {
		body["created_before"] = before
	}
	all := c.flag("all") == "true"
	switch {
	case !all && len(body) == 0:
		return usagef("say which keys of %s: --app, --created-before, --minted-by, or --all for every one", quoted(user))
	case all && len(body) > 0:
		return usagef("--all is every key of the user: leave it out, or what would limit it")
	case all:
		body["all"] = true
	}
	text, answer, err := c.ask("POST", []string{"users", user, "keys", "revoke"}, nil, body)
	if err != nil {
		return err
	}
	n := *answer.Count
	if n == 0 {
		return c.say(text, "Revoked none: %s has no such key.", user)
	}
	ids := strings.Join(answer.KeyIDs, "\n")
	if len(answer.KeyIDs) < n {
		ids += "\n…"
	}
	return c.say(text, "Revoked %s of %s, for good:\n%s", counted(n, "key"), user, ids)
}

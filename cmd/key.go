package cmd

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func keyCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "key <command>", Short: "Creates, shows, changes, revokes and verifies keys"})
	cmd.AddCommand(
		command("create --user USER (--app APP | --pat) --scopes SCOPE,...", "Creates an app key or a personal access token, and shows it once",
			0, 0, createKey, ofUser, func(f *pflag.FlagSet) {
				f.String("app", "", "The app that the key is for")
				f.Bool("pat", false, "Make a personal access token, which acts as the user on every app")
				f.StringSlice("scopes", nil, "Scopes that the key has, or All (required)")
				f.StringSlice("endpoints", nil, "Endpoints that the key is limited to, such as /package.Service/Method (default all)")
				f.String("description", "", "What the key is for")
				durationFlag(f, "expires-in", "Time after which the key expires, such as 90d or 720h (default never)")
			}, boundFlags),
		command("list --user USER [--app APP]", "Lists the keys of a user or an app", 0, 0, listKeys, ofUser, func(f *pflag.FlagSet) {
			f.String("app", "", "List only the keys of this app")
			f.String("plan", "", "List only the keys of this plan")
			f.String("state", "", "List only active, disabled, expired or revoked keys (default all that aren't revoked)")
			durationFlag(f, "unused-for", "List only keys that weren't used for this time, such as 90d")
		}),
		command("show ID", "Shows the details of a key", 1, 1, showKey),
		updateKeyCommand(),
		command("disable ID...", "Disables keys, until they are enabled", 1, many, func(c *call) error { return setDisabled(c, true) }),
		command("enable ID...", "Enables keys that were disabled", 1, many, func(c *call) error { return setDisabled(c, false) }),
		command("rotate ID", "Replaces a key with a new one, and shows the new one once", 1, 1, rotateKey, func(f *pflag.FlagSet) {
			durationFlag(f, "grace", "Time for which the old key still works, such as 24h or 2d (default none)")
			durationFlag(f, "expires-in", "Time after which the new key expires, such as 90d (default when the old one does)")
		}),
		command("revoke (ID... | - | --file FILE | --user USER (--app APP | --created-before TIME | --minted-by ID | --all))",
			"Revokes keys permanently: by key ID, by whole credentials (one a line, from standard input or a file), or many of a user's at once",
			0, many, revokeKeys, revokeFlagsOf),
		command("verify [- | --file FILE]", "Shows whether a credential is valid, and its user, app and scopes; reads it from standard input or a file",
			0, 1, verifyKey, func(f *pflag.FlagSet) {
				f.String("file", "", "File that the credential is read from")
			}),
		importCommand(), exportCommand(),
	)
	return cmd
}

// shownOnce prints a new credential where it can be copied.
func shownOnce(k manage.Key) string {
	return "Keep it now, because it is shown only once:\n\n    " + k.ID + "\n"
}

func createKey(c *call) error {
	user, err := c.required("user")
	if err != nil {
		return err
	}
	key := map[string]any{"scopes": c.list("scopes"), "description": c.flag("description")}
	app, pat := c.flag("app"), c.flag("pat") == "true"
	switch {
	case pat == (app != ""):
		return usagef("give either --app for an app key, or --pat for a personal access token")
	case len(c.list("scopes")) == 0:
		return usagef("--scopes is missing; give the scopes of the key, or All")
	case pat:
		key["type"] = manage.TypePAT
	default:
		key["apps"] = []any{map[string]string{"id": app}}
	}
	if list := c.list("endpoints"); len(list) > 0 {
		key["endpoints"] = list
	}
	if err := c.takeExpiry(key); err != nil {
		return err
	}
	if err := c.takeBounds(key); err != nil {
		return err
	}
	text, answer, err := c.ask("POST", []string{"users", user, "keys"}, nil, map[string]any{"keys": []any{key}})
	if err != nil {
		return flaggedKey(err, map[string]string{"user_id": "--user", "keys[0].apps[0].id": "--app"})
	}
	if c.api.offline != nil && c.flag("config") == "" {
		c.PrintErrln("Without --config the scopes were not checked against those of a configuration.")
	}
	c.warn(answer)
	return c.say(text, "Created %s %s.\n%s", kindOf(answer.Keys[0]), answer.Keys[0].KeyID, shownOnce(answer.Keys[0]))
}

// takeExpiry adds the expiry that --expires-in asks for to the body of a call.
func (c *call) takeExpiry(body map[string]any) error {
	if !c.Flags().Changed("expires-in") {
		return nil
	}
	in := c.duration("expires-in")
	if in <= 0 {
		return usagef("--expires-in takes a time from now on, such as 90d")
	}
	body["expires_at"] = time.Now().Add(in).UTC().Format(time.RFC3339Nano)
	return nil
}

// warn prints the warnings of a successful answer.
func (c *call) warn(answer *manage.Answer) {
	if answer.Status.Details != "" {
		c.PrintErrf("Note: %s.\n", answer.Status.Details)
	}
}

func kindOf(k manage.Key) string {
	switch k.Type {
	case manage.TypeAppKey:
		return "app key"
	case manage.TypePAT:
		return "personal access token"
	default:
		return "session"
	}
}

// state returns the state of a user's key, as the gate sees it.
func state(k manage.Key, u *manage.User) string {
	return k.Standing(u.Suspended, time.Now())
}

// lastUsed returns when and from where a key was last used.
func lastUsed(k manage.Key) string {
	if k.LastUsedAt == nil {
		return "never"
	}
	return when(*k.LastUsedAt) + " from " + k.LastUsedFrom
}

func listKeys(c *call) error {
	user, err := c.required("user")
	if err != nil {
		return err
	}
	path := []string{"users", user, "keys"}
	if app := c.flag("app"); app != "" {
		path = []string{"users", user, "apps", app, "keys"}
	}
	owner := new(manage.User)
	if !c.json { // JSON shows the keys as the API does
		if owner, err = c.user(user); err != nil {
			return err
		}
	}
	header := row("ID", "KIND", "APP", "STATE", "EXPIRES", "SCOPES", "LIMITS", "DESCRIPTION")
	query := url.Values{}
	for flag, name := range map[string]string{"state": "state", "plan": "plan", "unused-for": "unused_for"} {
		if c.Flags().Changed(flag) {
			query.Set(name, c.flag(flag))
		}
	}
	err = c.tableOf(path, query, "keys", header, func(a *manage.Answer) (rows []string) {
		for _, k := range a.Keys {
			rows = append(rows, row(k.ID, kindOf(k), k.AppID(), state(k, owner), whenever(k.ExpiresAt), strings.Join(k.Scopes, ","), boundsOf(&k), k.Description))
		}
		return rows
	})
	return flagged(err, map[string]string{"state": "--state", "plan": "--plan", "unused_for": "--unused-for"})
}

func showKey(c *call) error {
	ids, err := c.keyIDs()
	if err != nil {
		return err
	}
	text, answer, err := c.ask("GET", []string{"keys", ids[0]}, nil, nil)
	if err != nil {
		return placed(err, "key_id", ids)
	}
	if c.json {
		return c.printJSON(text)
	}
	owner, err := c.user(answer.Key.UserID)
	if err != nil {
		return err
	}
	lines := describe(*answer.Key, state(*answer.Key, owner))
	return c.details(append(lines, [2]string{"Last used", lastUsed(*answer.Key)})...)
}

// user gets a user from the API.
func (c *call) user(id string) (*manage.User, error) {
	_, answer, err := c.ask("GET", []string{"users", id}, nil, nil)
	if err != nil {
		return nil, err
	}
	return answer.User, nil
}

// describe returns the fields of a key for people, with its current state.
func describe(k manage.Key, standing string) (lines [][2]string) {
	if k.Type == manage.TypeSession {
		k.Scopes = []string{policy.ScopeAll}
	}
	for _, f := range manage.KeyFields {
		text := cmp.Or(inWords(f.Value(&k)), f.None)
		switch {
		case f.Label == "", text == "":
		case f.Name == "type":
			lines = append(lines, [2]string{f.Label, kindOf(k)}, [2]string{"State", standing})
		default:
			lines = append(lines, [2]string{f.Label, text})
		}
	}
	return lines
}

// inWords returns the value of a [manage.KeyField] for people.
func inWords(value any) string {
	switch v := value.(type) {
	case []string:
		return strings.Join(v, ", ")
	case *time.Time:
		if v == nil {
			return ""
		}
		return when(*v)
	default:
		return fmt.Sprint(v)
	}
}

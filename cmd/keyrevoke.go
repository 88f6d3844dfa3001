package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// revokeFlags are the flags that choose among a user's keys.
var revokeFlags = []string{"app", "created-before", "minted-by", "all"}

func revokeFlagsOf(f *pflag.FlagSet) {
	f.String("file", "", "File that whole credentials are read from")
	f.String("user", "", "Revoke those keys of this user that match all of the following flags")
	f.String("app", "", "Keys of this app")
	f.String("created-before", "", "Keys made before this time: 2030-12-31T23:59:59Z, 2030-12-31, or 24h for keys older than a day")
	f.String("minted-by", "", "Keys that were made with the key with this key ID, and keys made with those in turn; also removes the collaborators that were added with them")
	f.Bool("all", false, "Every key of the user")
}

// choosesKeys reports whether flags choose among a user's keys.
func (c *call) choosesKeys() bool {
	for _, name := range append([]string{"user"}, revokeFlags...) {
		if c.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// revokeMany revokes the keys of a user that the flags choose.
func revokeMany(c *call) error {
	if len(c.args) > 0 || c.flag("file") != "" {
		return usagef("either name keys, or choose among those of a user by --%s", strings.Join(revokeFlags, ", --"))
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
	if minter, ok := body["minted_by"]; ok && !credential.IsKeyID(minter.(string)) {
		return usagef("--minted-by takes a key ID, which looks like cap_0123456789AB")
	}
	before, err := c.timeFlag("created-before")
	if err != nil {
		return err
	}
	if before != "" {
		body["created_before"] = before
	}
	all := c.flag("all") == "true"
	switch {
	case !all && len(body) == 0:
		return usagef("choose the keys of %s: by --app, --created-before or --minted-by, or --all for all", quoted(user))
	case all && len(body) > 0:
		return usagef("--all revokes every key of the user: leave out either --all or the flags that limit it")
	case all:
		body["all"] = true
	}
	text, answer, err := c.ask("POST", []string{"users", user, "keys", "revoke"}, nil, body)
	if err != nil {
		return err
	}
	n := *answer.Count
	gone := ""
	if removed := answer.RemovedCollaborators; len(removed) > 0 {
		gone = "\nRemoved the collaborators that were added with them:"
		for _, l := range removed {
			gone += "\n" + l.ID + " from " + l.App.ID
		}
	}
	if n == 0 && gone == "" {
		return c.say(text, "Revoked none: %s has no such key.", user)
	}
	ids := strings.Join(answer.KeyIDs, "\n")
	if len(answer.KeyIDs) < n {
		ids += "\n…"
	}
	return c.say(text, "Revoked %s of %s permanently:\n%s%s", counted(n, "key"), user, ids, gone)
}

// listedAtOnce is how many credentials of a list one request names, and
// longestCredential is more than any has.
const (
	listedAtOnce      = 1000
	longestCredential = 512
)

// listed is a credential of a list, with its line.
type listed struct {
	text string
	line int
}

// revokeListed revokes the credentials that a file or standard input lists, one
// a line, and names the lines with unknown credentials. It fails only if a known
// one could not be revoked.
func revokeListed(c *call, file string) error {
	text, err := c.secret(file, "the credentials")
	if err != nil {
		return err
	}
	var list []listed
	all := &manage.Answer{Count: new(int)}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		switch line = strings.TrimSpace(line); {
		case line == "":
		case len(line) > longestCredential:
			all.Unknown = append(all.Unknown, manage.UnknownCredential{Index: n - 1, Credential: "…"})
		default:
			list = append(list, listed{line, n})
		}
	}
	for chunk := range slices.Chunk(list, listedAtOnce) {
		if err := c.revokeChunk(chunk, all); err != nil {
			if len(all.KeyIDs) > 0 {
				c.PrintErrln(revokedNow(all))
			}
			return fmt.Errorf("revoking the credentials of lines %d to %d: %w; send the list again", chunk[0].line, chunk[len(chunk)-1].line, err)
		}
	}
	slices.SortFunc(all.Unknown, func(a, b manage.UnknownCredential) int { return a.Index - b.Index })
	if c.json {
		all.Status = manage.Status{Code: manage.CodeOK, Description: manage.CodeOK.Description()}
		return c.printValue(all)
	}
	for _, u := range all.Unknown {
		c.PrintErrf("line %d: no key here has this credential (%s)\n", u.Index+1, u.Credential)
	}
	return c.say(nil, "%s", revokedNow(all))
}

// revokeChunk revokes a part of a list, and adds its answer to all.
func (c *call) revokeChunk(chunk []listed, all *manage.Answer) error {
	texts := make([]string, len(chunk))
	for i, one := range chunk {
		texts[i] = one.text
	}
	_, answer, err := c.ask("POST", []string{"keys", "revoke"}, nil, map[string]any{"credentials": texts})
	if err != nil {
		return err
	}
	*all.Count += *answer.Count
	all.KeyIDs = append(all.KeyIDs, answer.KeyIDs...)
	all.AlreadyRevoked = append(all.AlreadyRevoked, answer.AlreadyRevoked...)
	for _, u := range answer.Unknown {
		u.Index = chunk[u.Index].line - 1
		all.Unknown = append(all.Unknown, u)
	}
	return nil
}

// revokedNow describes which keys were revoked now, and which before.
func revokedNow(a *manage.Answer) string {
	now := slices.DeleteFunc(slices.Clone(a.KeyIDs), func(id string) bool { return slices.Contains(a.AlreadyRevoked, id) })
	var said []string
	if len(now) > 0 {
		said = append(said, "Revoked "+strings.Join(now, ", ")+" permanently.")
	}
	if len(a.AlreadyRevoked) > 0 {
		said = append(said, "Revoked before: "+strings.Join(a.AlreadyRevoked, ", ")+".")
	}
	if len(said) == 0 {
		return "Revoked none."
	}
	return strings.Join(said, "\n")
}

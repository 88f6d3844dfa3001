package cmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// Completions come from the admin endpoint. The user is waiting for them, so the
// time is short. If the endpoint doesn't answer, there are no completions and no
// error.
const (
	completionTime = time.Second
	maxOffered     = 200
)

// offer returns the completions for one place of a command.
type offer func(*completing) []string

// completing is one request of a shell for completions.
type completing struct {
	*call
	ctx   context.Context
	typed string
}

// flagOffers are the completions of flags, by name. For other flags the shell
// completes file names, except for those in nothingOffers.
var flagOffers = map[string]offer{
	"user": offerUsers, "app": offerApps, "scopes": offerScopes, "endpoints": offerEndpoints,
	"key": offerKeys, "plan": offerPlans, "minted-by": offerKeys, "actor": offerUsers, "output": func(*completing) []string { return []string{"text", "json"} },
}

// argumentOffers are the completions of arguments, by command.
var argumentOffers = map[string]offer{
	"user delete": offerUsers,
	"app delete":  offerApps,
	"key show":    offerKeys, "key update": offerKeys, "key disable": offerKeys, "key enable": offerKeys, "key rotate": offerKeys, "key revoke": offerKeys,
}

// nothingOffers are flags without completions.
var nothingOffers = []string{
	"name", "email", "description", "expires-in", "grace", "address", "since", "until", "created-before", "action",
	"rate", "quota", "concurrent", "from", "resource",
}

// completions adds completions to a command and its subcommands.
func completions(cmd *cobra.Command, path string) {
	for _, name := range append([]string{"output"}, nothingOffers...) {
		if cmd.PersistentFlags().Lookup(name) != nil || cmd.LocalNonPersistentFlags().Lookup(name) != nil {
			register(cmd, name)
		}
	}
	for name := range flagOffers {
		if name != "output" && cmd.LocalNonPersistentFlags().Lookup(name) != nil {
			register(cmd, name)
		}
	}
	group, _, _ := strings.Cut(path, " ")
	if o, ok := argumentOffers[path]; ok {
		cmd.ValidArgsFunction = completion(o)
	} else if slices.Contains([]string{"user", "app", "key", "audit"}, group) && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		completions(sub, strings.TrimSpace(path+" "+sub.Name()))
	}
}

// register adds completions to a flag. It can't fail, because the flag exists and
// is registered once.
func register(cmd *cobra.Command, name string) {
	f := cobra.NoFileCompletions
	if o, ok := flagOffers[name]; ok {
		f = completion(o)
	}
	_ = cmd.RegisterFlagCompletionFunc(name, f)
}

func completion(o offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		c := &completing{call: &call{Command: cmd, args: args}, ctx: ctx, typed: typed}
		defer func() {
			if c.api != nil {
				_ = c.api.close()
			}
		}()
		directive := cobra.ShellCompDirectiveNoFileComp
		list := o(c)
		if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, ",") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return slices.DeleteFunc(list, func(s string) bool {
			id, _, _ := strings.Cut(s, "\t")
			return !strings.HasPrefix(s, typed) || slices.Contains(args, id)
		}), directive
	}
}

// get calls the API, and returns nil if that doesn't answer. Completing never
// opens the store itself.
func (c *completing) get(path ...string) *manage.Answer {
	if c.flag("db") != "" || c.refuseCredentials() != nil || c.connect() != nil {
		return nil
	}
	_, answer, err := c.api.ask(c.ctx, "GET", path, map[string][]string{"per_page": {"200"}}, nil)
	if err != nil {
		return nil
	}
	return answer
}

// offered returns one completion with its description.
func offered(id, description string) string {
	description = strings.Join(strings.Fields(description), " ")
	if description == "" {
		return id
	}
	return id + "\t" + description
}

func offerUsers(c *completing) (list []string) {
	if a := c.get("users"); a != nil {
		for _, u := range a.Users {
			list = append(list, offered(u.ID, u.Name))
		}
	}
	return list
}

func offerApps(c *completing) (list []string) {
	user := c.flag("user")
	if user == "" {
		return nil
	}
	if a := c.get("users", user, "apps"); a != nil {
		for _, app := range a.Apps {
			list = append(list, offered(app.ID, app.Name))
		}
	}
	return list
}

// offerKeys lists the keys of the user that --user names, or of all users.
func offerKeys(c *completing) (list []string) {
	users := []string{c.flag("user")}
	if users[0] == "" {
		users = nil
		for _, u := range offerUsers(c) {
			id, _, _ := strings.Cut(u, "\t")
			users = append(users, id)
		}
	}
	for _, user := range users {
		a := c.get("users", user, "keys")
		if a == nil || len(list) > maxOffered {
			break
		}
		for _, k := range a.Keys {
			list = append(list, offered(k.KeyID, strings.Join([]string{user, k.AppID(), k.Description}, " ")))
		}
	}
	return list
}

// offerPlans lists the plans, which are the same for every user.
func offerPlans(c *completing) (list []string) {
	users := offerUsers(c)
	if len(users) == 0 {
		return nil
	}
	user, _, _ := strings.Cut(users[0], "\t")
	if a := c.get("users", user, "plans"); a != nil {
		for _, p := range a.Plans {
			list = append(list, offered(p.Name, strings.Join(manage.LimitTexts(p.Limits), ", ")))
		}
	}
	return list
}

// offerScopes completes the last scope of a list.
func offerScopes(c *completing) []string {
	var names []string
	if a := c.catalogue(); a != nil {
		for _, s := range a.Scopes {
			names = append(names, s.Scope)
		}
	}
	return c.last(names)
}

func offerEndpoints(c *completing) []string {
	if a := c.catalogue(); a != nil {
		return c.last(a.Endpoints)
	}
	return nil
}

// catalogue gets all scopes and endpoints, which are the same for every user.
func (c *completing) catalogue() *manage.Answer {
	user := c.flag("user")
	if user == "" {
		return nil
	}
	return c.get("users", user, "scopes")
}

// last completes the last element of a comma-separated list: it puts the text up
// to the last comma in front of each name that isn't listed yet.
func (c *completing) last(names []string) (list []string) {
	typed := ""
	if comma := strings.LastIndexByte(c.typed, ','); comma >= 0 {
		typed = c.typed[:comma+1]
	}
	for _, name := range names {
		if !slices.Contains(strings.Split(typed, ","), name) {
			list = append(list, typed+name)
		}
	}
	return list
}

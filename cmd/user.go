package cmd

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func userCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "user <command>", Short: "Creates, lists, shows, changes and deletes users"})
	create := command("create [ID]", "Creates a user; without an ID, one is made up", 0, 1, createUser, func(f *pflag.FlagSet) {
		f.String("name", "", "Name, for people to read")
		f.String("email", "", "E-mail address")
		f.String("password-file", "", "File that the password is read from; - is standard input")
	}, planFlag)
	create.Annotations = map[string]string{makesStore: "yes"}
	update := command("update ID", "Changes a user; flags that are not given leave their fields unchanged", 1, 1, updateUser, func(f *pflag.FlagSet) {
		f.String("name", "", "Name, for people to read")
		f.String("email", "", "E-mail address; \"\" removes it")
		f.String("password-file", "", "File that the password is read from; - is standard input")
		f.Bool("suspended", false, "Refuse all keys and sessions of the user; --suspended=false ends that")
		f.Bool("operator", false, "Give the user the operator's pages of the portal; --operator=false takes them")
		f.String("plan", "", "Plan of the configuration; \"\" removes it")
	})
	cmd.AddCommand(
		create,
		command("list", "Lists the users", 0, 0, listUsers),
		command("show ID", "Shows a user", 1, 1, showUser),
		update,
		command("reset-link ID", "Makes a one-time link by which a user who forgot the password sets another one", 1, 1, makeResetLink, func(f *pflag.FlagSet) {
			f.String("url", "", "Address of the portal, such as https://keys.example.com/portal; the configuration's by default")
		}),
		command("delete ID...", "Deletes users with their apps, and revokes their keys", 1, many, deleteUsers, confirmed),
	)
	return cmd
}

func createUser(c *call) error {
	user := map[string]string{}
	if len(c.args) == 1 {
		user["id"] = c.args[0]
	}
	for _, name := range []string{"name", "email", "plan"} {
		if value := c.flag(name); value != "" {
			user[name] = value
		}
	}
	if file := c.flag("password-file"); file != "" {
		password, err := c.secret(file, "the password")
		if err != nil {
			return err
		}
		user["password"] = password
	}
	text, answer, err := c.ask("POST", []string{"users"}, nil, map[string]any{"users": []any{user}})
	if err != nil {
		return flagged(err, map[string]string{
			"users[0].id": user["id"], "users[0].name": "--name", "users[0].email": "--email", "users[0].password": "--password-file", "users[0].plan": "--plan",
		})
	}
	return c.say(text, "Created user %s.", answer.Users[0].ID)
}

func listUsers(c *call) error {
	return c.table([]string{"users"}, "users", row("ID", "NAME", "EMAIL", "STATE", "CREATED"), func(a *manage.Answer) (rows []string) {
		for _, u := range a.Users {
			state := "active"
			if u.Suspended {
				state = "suspended"
			}
			rows = append(rows, row(u.ID, u.Name, u.Email, state, when(u.CreatedAt)))
		}
		return rows
	})
}

func showUser(c *call) error {
	text, answer, err := c.ask("GET", []string{"users", c.args[0]}, nil, nil)
	if err != nil {
		return placed(err, "user_id", c.args)
	}
	if c.json {
		return c.printJSON(text)
	}
	u := answer.User
	yes := map[bool]string{true: "yes", false: "no"}
	return c.details(
		[2]string{"ID", u.ID}, [2]string{"Name", u.Name}, [2]string{"E-mail", u.Email},
		[2]string{"Suspended", yes[u.Suspended]}, [2]string{"Second factor", yes[u.TwoFactor]}, [2]string{"Operator", yes[u.Operator]},
		[2]string{"Plan", cmp.Or(u.Plan, "none; default applies if it is configured")},
		[2]string{"Created", when(u.CreatedAt)},
	)
}

func updateUser(c *call) error {
	user := map[string]any{}
	for _, name := range []string{"name", "email", "plan"} {
		if c.Flags().Changed(name) {
			user[name] = c.flag(name)
		}
	}
	for _, name := range []string{"suspended", "operator"} {
		if c.Flags().Changed(name) {
			user[name] = c.flag(name) == "true"
		}
	}
	if file := c.flag("password-file"); file != "" {
		password, err := c.secret(file, "the password")
		if err != nil {
			return err
		}
		user["password"] = password
	}
	if len(user) == 0 {
		return usagef("give at least one flag that says what to change")
	}
	text, answer, err := c.ask("PATCH", []string{"users", c.args[0]}, nil, map[string]any{"user": user})
	if err != nil {
		return flagged(err, map[string]string{
			"user_id": c.args[0], "user.name": "--name", "user.email": "--email", "user.password": "--password-file", "user.plan": "--plan",
		})
	}
	return c.say(text, "Changed user %s.", answer.User.ID)
}

func deleteUsers(c *call) error {
	question := fmt.Sprintf("This deletes %s with all apps, and revokes all keys there. This can't be undone, and no new user can have the ID.", strings.Join(c.args, ", "))
	if err := c.confirm(question); err != nil {
		return err
	}
	text, _, err := c.ask("DELETE", []string{"users"}, nil, map[string]any{"ids": c.args})
	if err != nil {
		return placed(err, "ids[#]", c.args)
	}
	return c.say(text, "Deleted %s, with all apps and collaborators. Their keys are revoked.", strings.Join(c.args, ", "))
}

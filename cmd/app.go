package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func appCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "app <command>", Short: "Creates, lists and deletes apps"})
	cmd.AddCommand(
		command("create [ID] --user USER", "Creates an app and its first key; without an ID, one is made up", 0, 1, createApp, ofUser, func(f *pflag.FlagSet) {
			f.String("name", "", "Name, for people to read")
		}, planFlag),
		command("list --user USER", "Lists the apps of a user", 0, 0, listApps, ofUser),
		command("delete ID --user USER", "Deletes an app, and revokes its keys", 1, 1, deleteApp, ofUser, confirmed),
	)
	return cmd
}

func ofUser(f *pflag.FlagSet) {
	f.String("user", "", "Owner of the app, or holder of the key (required)")
}

func createApp(c *call) error {
	user, err := c.required("user")
	if err != nil {
		return err
	}
	app := map[string]string{}
	if len(c.args) == 1 {
		app["id"] = c.args[0]
	}
	if name := c.flag("name"); name != "" {
		app["name"] = name
	}
	if plan := c.flag("plan"); plan != "" {
		app["plan"] = plan
	}
	text, answer, err := c.ask("POST", []string{"users", user, "apps"}, nil, map[string]any{"apps": []any{app}})
	if err != nil {
		return flagged(err, map[string]string{"user_id": "--user", "apps[0].id": app["id"], "apps[0].name": "--name", "apps[0].plan": "--plan"})
	}
	return c.say(text, "Created app %s of %s, with a key that grants everything there.\n%s",
		answer.Apps[0].ID, user, shownOnce(answer.Keys[0]))
}

func listApps(c *call) error {
	user, err := c.required("user")
	if err != nil {
		return err
	}
	return c.table([]string{"users", user, "apps"}, "apps", row("ID", "NAME", "PLAN", "CREATED"), func(a *manage.Answer) (rows []string) {
		for _, app := range a.Apps {
			rows = append(rows, row(app.ID, app.Name, app.Plan, when(app.CreatedAt)))
		}
		return rows
	})
}

func deleteApp(c *call) error {
	user, err := c.required("user")
	if err != nil {
		return err
	}
	question := fmt.Sprintf("This deletes app %s of %s with its collaborators, and revokes its keys. This can't be undone.", c.args[0], user)
	if err := c.confirm(question); err != nil {
		return err
	}
	text, _, err := c.ask("DELETE", []string{"users", user, "apps", c.args[0]}, nil, nil)
	if err != nil {
		return err
	}
	return c.say(text, "Deleted app %s of %s. Its keys are revoked.", c.args[0], user)
}

package cmd

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func suggestCommand() *cobra.Command {
	cmd := command("suggest (LOGFILE | -)", "Lists from a log of shadow mode which scopes each key uses, and which it lacks", 1, 1, suggest)
	cmd.Long = `
Reads the log of a Caddy that has a site with "mode shadow". For each key it
prints the scopes and endpoints that its requests used, so that its grants can be
narrowed to them, and those that it lacks. With --config it also names the scopes
that have to be granted together with these.

The decisions are lines of JSON in Caddy's own log, which the global option log
configures, not in a site's access log. All other lines are skipped and counted.`
	return cmd
}

func suggest(c *call) error {
	log := c.InOrStdin()
	if file := c.args[0]; file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		defer f.Close()
		log = f
	}
	usage, err := shadowlog.UsageOf(log)
	if err != nil {
		return err
	}
	if len(usage.Keys)+usage.Public+usage.Unknown == 0 && usage.Others > 0 {
		c.PrintErrln("The log has no decision of mode shadow: these are in Caddy's own log, as JSON, not in a site's access log.")
	}
	if file := c.flag("config"); file != "" {
		var api manage.API
		if err := configured(&api, file, c.flag("adapter")); err != nil {
			return err
		}
		for i := range usage.Keys {
			if k := &usage.Keys[i]; api.Catalogue != nil {
				k.Needs = api.Catalogue.Lacking(slices.Concat(k.Scopes, k.MissingScopes))
			}
		}
	}
	if c.json {
		return c.printValue(usage)
	}
	for i := range usage.Keys {
		if err := c.printUsage(&usage.Keys[i]); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "%s; %s of public routes, %d without a known credential; %s skipped\n",
		counted(len(usage.Keys), "key"), counted(usage.Public, "request"), usage.Unknown, counted(usage.Others, "other line"))
	return nil
}

func (c *call) printUsage(k *shadowlog.KeyUsage) error {
	fmt.Fprintf(c.OutOrStdout(), "%s (%s of %s)\n", k.KeyID, k.KeyType, k.UserID)
	lines := [][2]string{
		{"  requests", fmt.Sprintf("%d allowed, %d lacking scopes or endpoints, %d refused otherwise", k.Allowed, k.Lacking, k.Refused)},
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			lines = append(lines, [2]string{"  " + name, strings.Join(values, ",")})
		}
	}
	list("uses scopes", k.Scopes)
	list("lacks scopes", k.MissingScopes)
	list("to grant with them", k.Needs)
	if k.NoEndpoint {
		lines = append(lines, [2]string{"  endpoints", "the key uses routes without an endpoint, so it can't be limited to endpoints"})
	} else {
		list("uses endpoints", k.Endpoints)
	}
	list("lacks endpoints", k.MissingEndpoints)
	return c.details(lines...)
}

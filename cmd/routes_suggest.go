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
	cmd := command("suggest (LOGFILE | -)", "Says from a log of shadow mode which scopes each key uses, and which it lacks", 1, 1, suggest)
	cmd.Long = `
Reads the log of a Caddy that has a site with "mode shadow", and prints for each
key the scopes and endpoints that its requests needed and had, so that its
grants can be narrowed to them, and those that it lacks. With --config, the
scopes that these need to be granted with are named too.

The decisions are lines of JSON in Caddy's own log, that of the global option
log. A site's access log has none of them. All other lines are passed over and
counted.`
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
		c.PrintErrln("There is no decision of mode shadow in it: they are in Caddy's own log, as JSON, and not in a site's access log.")
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
	fmt.Fprintf(c.OutOrStdout(), "%s; %s of public routes, %d without a known credential; %s passed over\n",
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
		lines = append(lines, [2]string{"  endpoints", "it uses routes without one, so it can't be limited to endpoints"})
	} else {
		list("uses endpoints", k.Endpoints)
	}
	list("lacks endpoints", k.MissingEndpoints)
	return c.details(lines...)
}

package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
)

func logsCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "logs <command>", Short: "Keeps credentials out of Caddy's logs"})
	filter := command("filter [CONFIG]", "Prints the log filter that hides the credentials of a configuration", 0, 1, logFilter, func(f *pflag.FlagSet) {
		f.String("site", "", "Host of the site whose credentials are hidden (default: those of every site)")
	})
	filter.Long = `
Caddy's logs show requests with their headers and their query. Caddy itself
redacts only Authorization and cookies, and no other place where a site reads
credentials.

CONFIG, or the file that --config names, is read and not run; the default is
Caddyfile. Paste the printed filter into each log block, in the global options
and in sites. Nothing is printed if all sites read credentials only in
Authorization.`
	cmd.AddCommand(filter)
	return cmd
}

func logFilter(c *call) error {
	file := c.flag("config")
	switch {
	case len(c.args) > 0 && file != "":
		return usagef("the configuration is named twice: by CONFIG and by --config")
	case len(c.args) > 0:
		file = c.args[0]
	case file == "":
		file = "Caddyfile"
	}
	text, err := configOfFile(file, c.flag("adapter"))
	if err != nil {
		return err
	}
	sites, err := gateway.Sites(text)
	if err != nil {
		return err
	}
	if site := c.flag("site"); site != "" {
		sites = slices.DeleteFunc(sites, func(s *gateway.Site) bool { return !s.Named(site) })
	}
	if config.Manages(text) {
		management, err := gateway.ManagementSite()
		if err != nil {
			return err
		}
		sites = append(sites, management)
	}
	switch {
	case len(sites) > 0:
	case c.flag("site") != "":
		return fmt.Errorf("no site of the host %s has a gate", c.flag("site"))
	default:
		return errors.New("the configuration has no site with a gate: add the directive api_keys to one")
	}
	var shown config.LogFields
	for _, s := range sites {
		shown.Add(s.Logged())
	}
	filter := shown.Filter()
	if c.json {
		return c.printValue(map[string]string{"filter": filter})
	}
	if filter == "" {
		c.PrintErrln("No filter is needed: all sites read credentials only in Authorization.")
		return nil
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), filter)
	return err
}

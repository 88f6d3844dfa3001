// Package cmd is the command group caddy api-keys. The commands call the
// management API of a running Caddy through its admin endpoint. With --db they
// open the store themselves and run the same API in process.
package cmd

import (
	"errors"
	"fmt"
	"net/url"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "api-keys",
		Usage: "<command>",
		Short: "Manages users, apps and API keys",
		Long: `
Manages the users, apps and API keys of a running Caddy through its admin
endpoint: the default one, the one that --address names, or the one in the
configuration file that --config names.

If no Caddy is running, --db opens the key store itself. Scopes are then checked
against the configuration file that --config names, if any.

With -o json the answers of the API are printed unchanged. The exit status is 0
on success, 1 on failure, and 2 if the command was not understood. Passwords and
credentials are never arguments, because other users of the machine can see those
and shells record them. They are read from standard input or a file.`,
		CobraFunc: configure,
	})
}

// groups make the commands below caddy api-keys, each a file of its own.
var groups = []func() *cobra.Command{
	userCommand,
	appCommand,
	keyCommand,
	auditCommand,
	storeCommand,
	demoCommand,
	routesCommand,
	logsCommand,
	fleetCommand,
}

// configure builds the command group.
func configure(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.String("address", "", "Address of the administration API listener (if --config is not used)")
	flags.StringP("config", "c", "", "Configuration file (if --address is not used; with --db, scopes are checked against it)")
	flags.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
	flags.String("db", "", "Key store file to open, if no Caddy is running")
	flags.Bool("wait", true, "Wait until a change is in effect on all nodes that share the key store")
	flags.StringP("output", "o", "text", "Form of the output: text or json")
	group(root)
	for _, build := range groups {
		root.AddCommand(build())
	}
	completions(root, "")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return finish(cmd, usageError{err}) })
}

// group makes a command that only holds other commands.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return finish(cmd, usagef("there is no command %s", quoted(args[0])))
	}
	return cmd
}

// usageError is a command that was not understood.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitUsage is the exit status of a command that was not understood.
const exitUsage = 2

// finish prints a usage error, and turns it into an exit status. Only errors from
// Caddy's own wrapper can carry an exit status other than 1.
func finish(cmd *cobra.Command, err error) error {
	if _, usage := errors.AsType[usageError](err); !usage {
		return err
	}
	cmd.PrintErrf("Error: %v\nSee: %s --help\n", err, cmd.CommandPath())
	cmd.SilenceErrors = true
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, nil })(cmd, nil)
}

// call is one running command.
type call struct {
	*cobra.Command
	args []string
	json bool
	// wrap takes the place of a store that the command opens itself. It may be
	// nil.
	wrap func(keys.Store) (keys.Store, error)
	// api is nil before connect.
	api *client
}

// many stands for any number of arguments.
const many = 1 << 30

// command makes a command. use shows its arguments, for example create ID; their
// number is between least and most.
func command(use, short string, least, most int, run func(*call) error, flags ...func(*pflag.FlagSet)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		// start checks the arguments: a wrong number is a usage error, and cobra
		// would repeat the arguments, one of which may be a credential.
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return finish(cmd, start(&call{Command: cmd, args: args}, least, most, run))
		},
	}
	for _, f := range flags {
		f(cmd.Flags())
	}
	return cmd
}

func start(c *call, least, most int, run func(*call) error) (err error) {
	if err := c.refuseCredentials(); err != nil {
		return err
	}
	if n := len(c.args); n < least || n > most {
		return usagef("%s: %s", miscounted(n, least, most), c.UseLine())
	}
	switch c.flag("output") {
	case "text":
	case "json":
		c.json = true
	default:
		return usagef("-o takes text or json")
	}
	defer func() {
		if c.api != nil {
			err = errors.Join(err, c.api.close())
		}
	}()
	return run(c)
}

// miscounted describes how many arguments a command takes, and how many it got.
func miscounted(n, least, most int) string {
	takes := "no arguments"
	switch {
	case most == many:
		takes = "at least " + counted(least, "argument")
	case most > least:
		takes = "at most " + counted(most, "argument")
	case most > 0:
		takes = counted(most, "argument")
	}
	switch n {
	case 0:
		return "it takes " + takes + ", and none was given"
	case 1:
		return "it takes " + takes + ", and 1 was given"
	}
	return fmt.Sprintf("it takes %s, and %d were given", takes, n)
}

// ask calls the API, like [client.ask].
func (c *call) ask(method string, path []string, query url.Values, body any) (text []byte, answer *manage.Answer, err error) {
	if err := c.connect(); err != nil {
		return nil, nil, err
	}
	return c.api.ask(c.Context(), method, path, query, body)
}

// connect finds the API, on the first call only.
func (c *call) connect() (err error) {
	if c.api == nil {
		if c.api, err = newClient(c); err != nil {
			return err
		}
		wait, _ := c.Flags().GetBool("wait") // declared as such
		c.api.noWait = !wait
	}
	return err
}

// refuseCredentials refuses a credential on the command line, and doesn't
// repeat it.
func (c *call) refuseCredentials() error {
	const advice = "a whole credential was given %s, where other users of this machine can see it and shells record it: " +
		"revoke it with \"key revoke -\", which reads it from standard input, like \"key verify\""
	for _, arg := range c.args {
		if credential.FormOf(arg) != credential.Foreign {
			return usagef(advice, "as an argument")
		}
	}
	var found error
	c.Flags().Visit(func(f *pflag.Flag) {
		if credential.FormOf(f.Value.String()) != credential.Foreign {
			found = usagef(advice, "with --"+f.Name)
		}
	})
	return found
}

// flag returns the value of a flag as text.
func (c *call) flag(name string) string {
	f := c.Flags().Lookup(name)
	if f == nil {
		return ""
	}
	return f.Value.String()
}

// list returns the value of a flag that holds several texts.
func (c *call) list(name string) []string {
	list, _ := c.Flags().GetStringSlice(name) // declared as such
	return list
}

// required returns the value of a flag that must be given.
func (c *call) required(name string) (string, error) {
	value := c.flag(name)
	if value == "" {
		return "", usagef("--%s is missing", name)
	}
	return value, nil
}

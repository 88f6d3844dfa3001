package cmd

import (
	"fmt"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func explainCommand() *cobra.Command {
	cmd := command("explain METHOD TARGET", "Shows how a request would be decided, step by step", 2, 2, explain, func(f *pflag.FlagSet) {
		f.String("key", "", "Key ID of the calling key")
		f.StringSlice("scopes", nil, "Scopes of a supposed caller's credential")
		f.StringSlice("endpoints", nil, "Endpoints that the supposed credential is limited to (default: no limit)")
		f.String("kind", "app_key", "Kind of the supposed credential: app_key, pat or session")
		f.String("user", "", "User of the supposed credential (default: the one that the request names)")
		f.String("app", "", "App of the supposed app_key (default: the one that the request names)")
		f.String("from", "", "Address of the client (default: one from which the key may be used)")
		f.StringArray("header", nil, `Header of the request, such as "Origin: https://example.com"; may be repeated`)
		f.String("against", "", "Configuration file whose gates are asked, without running it (default: the running configuration)")
		f.String("site", "", "Host of the site that is asked (default: every site with a gate)")
	})
	cmd.Long = `
Shows each step of a decision: what it saw, what it decided, and what would
change the outcome. The gate's own code decides; nothing is forwarded or counted.

METHOD is grpc for a gRPC call. Without --key, --scopes or --kind, the request
has no credential. The command needs no credential, and refuses one.`
	return cmd
}

func explain(c *call) error {
	q := manage.ExplainQuery{Method: c.args[0], Target: c.args[1], Key: c.flag("key"), Site: c.flag("site"), Address: c.flag("from")}
	q.Headers, _ = c.Flags().GetStringArray("header") // declared as such
	if q.Key != "" && !credential.IsKeyID(q.Key) {
		return usagef("--key takes a key ID, which looks like cak_0123456789AB; \"key list\" shows them")
	}
	for _, name := range []string{"scopes", "endpoints", "kind", "user", "app"} {
		if c.Flags().Changed(name) {
			q.Caller = &manage.ExplainCaller{
				Kind: c.flag("kind"), UserID: c.flag("user"), AppID: c.flag("app"),
				Scopes: c.list("scopes"), Endpoints: c.list("endpoints"),
			}
		}
	}
	if q.Key != "" && q.Caller != nil {
		return usagef("--key names a stored key, and --scopes, --endpoints, --kind, --user and --app suppose one: give either")
	}
	list, err := c.explanations(q)
	if err != nil {
		return flagged(err, map[string]string{"address": "--from"})
	}
	if c.json {
		return c.printValue(map[string]any{"explanations": list})
	}
	for i, x := range list {
		if i > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		if err := c.printExplanation(&x); err != nil {
			return err
		}
	}
	return nil
}

// explanations asks the gates of a file, or of the running configuration. It
// needs a store only to look up a key.
func (c *call) explanations(q manage.ExplainQuery) ([]manage.Explanation, error) {
	var undecided []manage.Explanation
	if file := c.flag("against"); file != "" {
		text, err := configOfFile(file, c.flag("adapter"))
		if err != nil {
			return nil, err
		}
		places := config.Sites(text)
		if q.Key == "" || len(places) == 0 {
			sites, err := gateway.Sites(text)
			if err != nil {
				return nil, err
			}
			return gateway.Explain(c.Context(), nil, sites, q)
		}
		for _, place := range places {
			if x := gateway.Unreached(c.Context(), place, q); x != nil {
				undecided = append(undecided, *x)
				continue
			}
			q.Gates = append(q.Gates, manage.ExplainGate{Hosts: place.Hosts, Gate: place.Gate})
		}
		if len(q.Gates) == 0 {
			return undecided, nil
		}
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	_, answer, err := c.api.askAt(c.Context(), "POST", []string{"routes", "explain"}, nil, q)
	if err != nil {
		return nil, err
	}
	return append(undecided, answer.Explanations...), nil
}

// configOfFile returns a configuration file as JSON.
func configOfFile(file, adapter string) ([]byte, error) {
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return config, nil
}

func (c *call) printExplanation(x *manage.Explanation) error {
	head := x.Outcome
	if x.Code != 0 {
		head += fmt.Sprintf(" by %d, code %d (%s)", x.Status, x.Code, x.Code.Description())
		head += ", reason " + x.Reason
	}
	if x.Mode == "shadow" && x.Outcome == manage.OutcomeRefused {
		head += ", except for mode shadow"
	}
	if len(x.Hosts) > 0 {
		head = strings.Join(x.Hosts, ", ") + ": " + head
	}
	out := c.OutOrStdout()
	fmt.Fprintln(out, head)
	if x.Outcome == manage.OutcomeUndecided {
		fmt.Fprintln(out, "  "+x.Details)
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range x.Steps {
		fmt.Fprintf(w, "  %d %s\t%s\t%s\n", s.Step, s.Name, s.Decided, s.Saw)
		if s.Change != "" {
			fmt.Fprintf(w, "  \t\twhat would change it: %s\n", s.Change)
		}
	}
	return w.Flush()
}

package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/cmd/importer"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

func checkCommand() *cobra.Command {
	cmd := command("check FILE", "Finds mistakes in a route table, and drift from a description", 1, 1, check, sharedFlags, protoFlags, openAPIFlags, func(f *pflag.FlagSet) {
		f.StringSlice("description", nil, "Description to compare with: protobuf sources or a descriptor set, or an OpenAPI document (.json, .yaml, .yml)")
		f.Bool("strict", false, "Fail on warnings too")
	})
	cmd.Long = `
FILE is a .routes file, or a configuration. All gates of a configuration are
checked.

Errors are mistakes and routes that no request reaches. With --description,
errors are also differences from the description, and operations that no table
can express. Warnings are scopes that nothing needs, routes that an upstream may
confuse, and variables that are named like the owner's or the app's but not
checked. In a configuration, handlers that forward requests past the gate are
warnings too. Public routes and routes that accept nobody are listed.

The exit status is 1 if there are errors, or with --strict warnings.`
	return cmd
}

// checkedSite is a table with its hosts. A file of routes has no hosts.
type checkedSite struct {
	Hosts    []string         `json:"hosts,omitempty"`
	Findings []policy.Finding `json:"findings"`
	table    policy.Checked
}

func check(c *call) error {
	sites, err := c.tablesOf(c.args[0])
	if err != nil {
		return err
	}
	description, err := c.described(c.list("description"))
	if err != nil {
		return err
	}
	errs, warnings := 0, 0
	for i := range sites {
		s := &sites[i]
		for j := range sites {
			for _, r := range sites[j].table.Routes {
				s.table.Needed = append(s.table.Needed, r.Scopes...)
			}
		}
		s.Findings = append(s.Findings, policy.Check(s.table)...)
		if description != nil {
			s.Findings = append(s.Findings, policy.Drift(s.table, *description)...)
		}
		for _, f := range s.Findings {
			switch f.Severity {
			case policy.Error:
				errs++
			case policy.Warning:
				warnings++
			default:
			}
		}
	}
	if err := c.printFindings(sites); err != nil {
		return err
	}
	if errs > 0 || warnings > 0 && c.flag("strict") == "true" {
		return fmt.Errorf("%s and %s", counted(errs, "error"), counted(warnings, "warning"))
	}
	return nil
}

// refusedPath returns why every request for an escaped path is refused, or an
// empty string. slash is true if a route allows an escaped slash.
func refusedPath(path string, slash bool) string {
	if err := wire.CheckPath(path, wire.Allowed{Slash: slash}); err != nil {
		return err.Error()
	}
	return ""
}

// tablesOf reads a file of routes, or the tables of a configuration's gates.
func (c *call) tablesOf(file string) ([]checkedSite, error) {
	if filepath.Ext(file) == ".routes" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the table: %w", err)
		}
		t, err := tables.Read(filepath.Base(file), text)
		if err != nil {
			return nil, err
		}
		return []checkedSite{{Findings: []policy.Finding{}, table: policy.Checked{
			Scopes: t.Scopes, Routes: t.Routes, Owner: "user_id", App: "app_id", Refused: refusedPath,
			OwnerQuery: t.OwnerQuery, OwnerBody: t.OwnerBody, OwnerMessage: t.OwnerMessage,
		}}}, nil
	}
	text, err := configOfFile(file, c.flag("adapter"))
	if err != nil {
		return nil, err
	}
	found, err := gateway.Sites(text)
	if err != nil {
		return nil, err
	}
	undecided, err := config.UndecidedRequests(text)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the configuration has no site with a gate: add the directive api_keys to one, or name a .routes file")
	}
	var sites []checkedSite
	for _, f := range found {
		declared, err := f.Declared()
		if err != nil {
			return nil, err
		}
		declared.Refused = refusedPath
		sites = append(sites, checkedSite{Hosts: f.Hosts(), Findings: undecidedAt(f, undecided), table: declared})
	}
	return sites, nil
}

// described returns the table of a description, or nil if none is given.
func (c *call) described(files []string) (*policy.Checked, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var res *importer.Result
	var err error
	if slices.Contains([]string{".json", ".yaml", ".yml"}, strings.ToLower(filepath.Ext(files[0]))) {
		if len(files) > 1 {
			return nil, usagef("--description takes one OpenAPI document at a time")
		}
		res, err = c.readOpenAPI(files[0])
	} else {
		res, err = c.readProto(files)
	}
	if err != nil {
		return nil, err
	}
	t := res.Table
	return &policy.Checked{
		Scopes: t.Scopes, Routes: t.Routes, Owner: "user_id", App: "app_id",
		OwnerQuery: t.OwnerQuery, OwnerBody: t.OwnerBody, OwnerMessage: t.OwnerMessage, LeftOut: res.LeftOut,
	}, nil
}

func (c *call) printFindings(sites []checkedSite) error {
	if c.json {
		return c.printValue(map[string]any{"sites": sites})
	}
	out := c.OutOrStdout()
	for _, s := range sites {
		if len(s.Hosts) > 0 {
			fmt.Fprintf(out, "%s:\n", strings.Join(s.Hosts, ", "))
		}
		for _, f := range s.Findings {
			place := ""
			if f.Place != "" {
				place = f.Place + ": "
			}
			fmt.Fprintf(out, "%s: %s%s\n", f.Severity, place, f.Text)
		}
		fmt.Fprintf(out, "%s, %s, %s\n",
			counted(len(s.table.Routes), "route"), counted(len(s.table.Scopes), "scope"), counted(len(s.Findings), "finding"))
	}
	return nil
}

// undecidedAt returns the warnings about requests of a site that reach an
// upstream without passing its gate.
func undecidedAt(site *gateway.Site, all []config.Undecided) []policy.Finding {
	found := []policy.Finding{}
	for _, u := range all {
		if slices.ContainsFunc(u.Site, func(name string) bool { return slices.Contains(site.Hosts(), name) }) {
			found = append(found, policy.Finding{Severity: policy.Warning, Text: u.Text()})
		}
	}
	return found
}

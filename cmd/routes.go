package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/cmd/importer"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func routesCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "routes <command>", Short: "Imports, checks and explains route tables"})
	imports := group(&cobra.Command{Use: "import <kind>", Short: "Makes scope and route lines from an API's published description"})
	imports.AddCommand(importProtoCommand(), importOpenAPICommand())
	cmd.AddCommand(imports, explainCommand(), suggestCommand(), checkCommand())
	return cmd
}

func importProtoCommand() *cobra.Command {
	cmd := command("proto [--import-path DIR]... FILE...", "Imports protobuf sources or a descriptor set, with google.api.http bindings",
		1, many, importProto, importFlags, sharedFlags, protoFlags)
	cmd.Long = `
Each method of the services in FILE becomes a gRPC route, and a route for each
of its google.api.http bindings. A FILE that doesn't end in .proto is a compiled
descriptor set; one of these is enough.

The table is printed, or written to the file that --out names. That file is for
review and editing, so one that differs from the import is replaced only with
--force. If messages name owner and app, the descriptors for reading them are
written next to the table (FILE.binpb next to FILE.routes), and the table names
that file. Parts of the description that the table can't express are reported on
standard error, with their place, and are closed rather than open. The options of
clarifai.auth.util and google.api.oauth_scopes are known.`
	return cmd
}

func importOpenAPICommand() *cobra.Command {
	cmd := command("openapi (FILE | -)", "Imports an OpenAPI 3.1 or 3.0 or a Swagger 2.0 document, in JSON or YAML",
		1, 1, importOpenAPI, importFlags, sharedFlags, openAPIFlags)
	cmd.Long = `
Each operation becomes a route under each base path of its servers, and requires
the scopes of its security requirements.

The table is printed, or written to the file that --out names. That file is for
review and editing, so one that differs from the import is replaced only with
--force. Parts of the document that the table can't express are reported on
standard error, with their place, and are closed rather than open: if there are
alternatives, all are required.`
	return cmd
}

// importFlags are the flags of every import.
func importFlags(f *pflag.FlagSet) {
	f.String("out", "", "File to write the table to (default standard output)")
	f.Bool("force", false, "Replace the file that --out names even if it isn't the result of this import")
	f.Bool("no-descriptions", false, "Leave out the descriptions of scopes")
}

// sharedFlags are the flags for reading any description.
func sharedFlags(f *pflag.FlagSet) {
	f.StringSlice("unstated", []string{"none"}, "What a route accepts if its operation states no demand: none, or kinds of credential")
	f.String("owner-field", "", "Variable in paths that names the owner; becomes {user_id} (default, protobuf: user_app_id.user_id)")
	f.String("app-field", "", "Variable in paths that names the app; becomes {app_id} (default, protobuf: user_app_id.app_id)")
}

func protoFlags(f *pflag.FlagSet) {
	f.StringSlice("import-path", nil, "Folder to look for imports in; may be repeated (default the current one)")
	f.String("scopes-option", "", "Option of methods or services that lists scopes (default: Clarifai's and Google's)")
	f.String("auth-option", "", "Option of methods or services that names the required kind of credential (default: Clarifai's)")
	f.StringArray("auth", nil, "What a value of --auth-option accepts, for example KeyAuth=app_key,pat,session; may be repeated (default: Clarifai's)")
	f.String("scope-needs-option", "", "Option of enum values that lists the scopes that a scope needs (default: Clarifai's)")
	f.String("scope-listed-option", "", "Option of enum values without which a scope is hidden (default: Clarifai's)")
	f.String("scope-separator", ":", "Replacement in scopes for the _ of enum values")
}

func openAPIFlags(f *pflag.FlagSet) {
	f.String("scopes-extension", "x-required-scopes", "Field of operations and paths that lists scopes where security can't")
}

func (c *call) shared() importer.Shared {
	return importer.Shared{
		Unstated:       c.list("unstated"),
		NoDescriptions: c.flag("no-descriptions") == "true",
		OwnerField:     c.flag("owner-field"),
		AppField:       c.flag("app-field"),
	}
}

func importProto(c *call) error {
	res, err := c.readProto(c.args)
	return c.imported(res, err)
}

// readProto reads protobuf sources, or a descriptor set.
func (c *call) readProto(files []string) (*importer.Result, error) {
	o := importer.ProtoOptions{
		Shared:            c.shared(),
		ScopesOption:      c.flag("scopes-option"),
		AuthOption:        c.flag("auth-option"),
		ScopeNeedsOption:  c.flag("scope-needs-option"),
		ScopeListedOption: c.flag("scope-listed-option"),
		ScopeSeparator:    c.flag("scope-separator"),
	}
	folders := c.list("import-path")
	if len(folders) == 0 {
		folders = []string{"."}
	}
	for _, folder := range folders {
		if info, err := os.Stat(folder); err != nil {
			return nil, fmt.Errorf("the import path: %w", err)
		} else if !info.IsDir() {
			return nil, usagef("--import-path %s is not a folder: name the one that the import lines begin in", quoted(folder))
		}
		o.Sources = append(o.Sources, os.DirFS(folder))
	}
	for _, file := range files {
		switch {
		case strings.HasSuffix(file, ".proto"):
			o.Files = append(o.Files, importName(folders, file))
		case o.DescriptorSet != nil:
			return nil, usagef("%s is a second descriptor set: import one at a time", quoted(file))
		default:
			set, err := c.description(file)
			if err != nil {
				return nil, err
			}
			o.DescriptorSet = set
		}
	}
	auth, _ := c.Flags().GetStringArray("auth") // declared as such
	for _, value := range auth {
		name, kinds, ok := strings.Cut(value, "=")
		if !ok || name == "" || kinds == "" {
			return nil, usagef("--auth %s: write it as KeyAuth=app_key,pat,session", quoted(value))
		}
		if o.Auth == nil {
			o.Auth = map[string][]string{}
		}
		o.Auth[name] = strings.Split(kinds, ",")
	}
	return importer.Proto(c.Context(), o)
}

func importOpenAPI(c *call) error {
	res, err := c.readOpenAPI(c.args[0])
	return c.imported(res, err)
}

// readOpenAPI reads a document.
func (c *call) readOpenAPI(file string) (*importer.Result, error) {
	data, err := c.description(file)
	if err != nil {
		return nil, err
	}
	return importer.OpenAPI(data, importer.OpenAPIOptions{
		Shared: c.shared(), Name: filepath.Base(file), ScopesExtension: c.flag("scopes-extension"),
	})
}

// importName returns the name by which import lines name a source: its path below
// the first of the folders that contains it.
func importName(folders []string, file string) string {
	for _, folder := range folders {
		name, err := filepath.Rel(folder, file)
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		if _, err := os.Stat(file); err == nil {
			return filepath.ToSlash(name)
		}
	}
	return filepath.ToSlash(file)
}

// description reads a file, or standard input for -. It stops after one byte more
// than an importer accepts.
func (c *call) description(file string) ([]byte, error) {
	in := c.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, importer.MaxSource+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return data, nil
}

// imported prints the result of an import, or writes it to a file.
func (c *call) imported(res *importer.Result, err error) error {
	if err != nil {
		return err
	}
	for _, w := range res.Warnings {
		c.PrintErrln("Warning:", w)
	}
	c.PrintErrf("%s, %s: %s and %s, %s\n", counted(res.Operations, "operation"), counted(res.Bindings, "binding"),
		counted(len(res.Table.Routes), "route"), counted(len(res.Table.Scopes), "scope"), counted(len(res.Warnings), "warning"))
	out, force := c.flag("out"), c.flag("force") == "true"
	descriptors := strings.TrimSuffix(out, ".routes") + ".binpb"
	switch {
	case res.Descriptors == nil:
	case out == "" || c.json:
		c.PrintErrln("Warning: gRPC messages are read by descriptors, which are only written with --out FILE.routes; add them to the table as descriptors FILE")
	default:
		res.Table.Descriptors = filepath.Base(descriptors)
	}
	text, err := res.Text()
	if c.json {
		text, err = json.MarshalIndent(struct {
			Scopes []policy.Scope `json:"scopes"`
			Routes []policy.Route `json:"routes"`
		}{res.Table.Scopes, res.Table.Routes}, "", "  ")
		text = append(text, '\n')
	}
	if err != nil {
		return err
	}
	if out != "" {
		if res.Table.Descriptors != "" {
			if err := writeTable(descriptors, res.Descriptors, force); err != nil {
				return err
			}
		}
		return writeTable(out, text, force)
	}
	_, err = c.OutOrStdout().Write(text)
	return err
}

// writeTable writes a table to a file, which may have been edited since the
// last import.
func writeTable(file string, text []byte, force bool) error {
	if !force {
		before, err := os.ReadFile(file)
		switch {
		case err == nil && bytes.Equal(before, text):
			return nil
		case err == nil:
			return fmt.Errorf("%s exists and differs from this import, so edits would be lost: "+
				"see the drift with \"routes check %[1]s --description …\", or replace the file with --force", file)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("reading what --out would replace: %w", err)
		}
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // a route table is made to be read by others
}

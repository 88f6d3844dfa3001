package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/cmd/migrate"
)

func importCommand() *cobra.Command {
	cmd := command("import (FILE | -) --format FORMAT", "Imports keys that were minted elsewhere, from a file or another gateway's dump", 1, 1, importKeys, func(f *pflag.FlagSet) {
		f.String("format", "", "Form of the file: "+strings.Join(migrate.Formats(), ", ")+" (default by the name: .csv, .jsonl)")
		f.String("user", "", "User whose every key is, whatever the file says")
		f.String("app", "", "App that every key is for, whatever the file says")
		f.Bool("pat", false, "Make every key a personal access token, whatever the file says")
		f.StringSlice("scopes", nil, "Scopes of the keys of which the file says none, or All")
		f.String("user-from", "", "What in the file names a key's user: of kong consumer, custom_id or id; of tyk alias or org_id; of aws name, customer_id or id (default the first)")
		f.Bool("clear-text", false, "The keys in a dump of tyk aren't hashes, even if they look like hashes")
		f.Bool("create-missing", false, "Create the users and apps that aren't there")
		f.Bool("dry-run", false, "Only report; change nothing")
		f.Bool("skip-invalid", false, "Leave out the keys that can't be imported, and import the others")
		f.Bool("skip-revoked", false, "Pass over keys that were revoked here, which stay so")
	})
	cmd.Long = `
Imports keys that were minted elsewhere, so that they go on working as they are.
Of each the SHA-256 is stored; clear text is written nowhere.

First the whole file is checked, against the store too, and what is wrong is
reported by line. Only if nothing is (or with --skip-invalid) the keys are
imported, in batches of which each is imported whole or not at all. A key that
is there already is passed over, so an import that was broken off goes on where
it was when it is run again.

The report ends with the credential lines that a site needs to read keys where
the old gateway's clients send them, and lists the new ID of each key beside
what the file calls it. A file that is one page of a longer list is warned of.

Standard input (-) can be read only once, and nothing of it may be kept on disk:
there each batch is checked and then imported, and one that has a mistake ends
the import.

csv     has a header line that names the columns: credential or sha256, user,
        app, type (` + migrate.AppKey + `, the default where there is an app,
        or ` + migrate.PAT + `), description, scopes and endpoints
        (separated by spaces or semicolons; - is none), expires_at, disabled
jsonl   has one JSON object a line, with these as fields
kong    is what "deck gateway dump" or "kong config db_export" writes
tyk     is JSON of the Gateway's or the Dashboard's API: {"keys": […]}, a list
        of {"key_id", "key_hash", "data"}, or sessions by key; keys hashed with
        SHA-256 can be imported, those hashed with murmur, the default, can't
apisix  is apisix.yaml, or what the Admin API answers for consumers
aws     is what "aws apigateway get-api-keys --include-values" writes`
	return cmd
}

// errWrong is returned where the report says what is wrong.
var errWrong = errors.New("nothing was imported, because some keys can't be, as the report says: correct them, or leave them out with --skip-invalid")

func importKeys(c *call) (err error) {
	i, err := newImport(c)
	if err != nil {
		return err
	}
	if c.flag("create-missing") == "true" && !i.dryRun {
		c.Annotations = map[string]string{makesStore: "yes"}
	}
	if err := c.connect(); err != nil {
		return err
	}
	if c.api.offline && c.flag("config") == "" {
		c.PrintErrln("Without --config the scopes are not checked against those of a configuration.")
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
	defer stop()
	// The second time it ends at once.
	context.AfterFunc(ctx, stop)
	var file *os.File
	if c.args[0] != "-" {
		if file, err = os.Open(c.args[0]); err != nil {
			return fmt.Errorf("reading the keys: %w", err)
		}
		defer file.Close()
	}
	i.report.begin()
	defer func() { err = errors.Join(err, i.report.end()) }()
	if file == nil {
		return i.fromInput(ctx, c.InOrStdin())
	}
	return i.fromFile(ctx, file)
}

func newImport(c *call) (*keyImport, error) {
	scopes := c.list("scopes")
	if c.Flags().Changed("scopes") && len(scopes) == 0 {
		scopes = []string{} // none, and that was said
	}
	sources := new(migrate.Sources)
	i := &keyImport{
		call: c, report: &report{call: c, sources: sources}, bar: newBar(c.ErrOrStderr()),
		options: migrate.Options{
			Format: c.flag("format"), User: c.flag("user"), App: c.flag("app"), PAT: c.flag("pat") == "true",
			Scopes: scopes, UserFrom: c.flag("user-from"), ClearText: c.flag("clear-text") == "true", Now: time.Now(),
			Sources: sources,
		},
		dryRun: c.flag("dry-run") == "true", skipInvalid: c.flag("skip-invalid") == "true",
		asked: map[string]any{"existing": "skip", "create_missing": c.flag("create-missing") == "true"},
	}
	if c.flag("skip-revoked") == "true" {
		i.asked["revoked"] = "skip"
	}
	if i.options.Format == "" {
		i.options.Format = strings.TrimPrefix(filepath.Ext(c.args[0]), ".")
		if i.options.Format != migrate.CSV && i.options.Format != migrate.JSONL {
			return nil, usagef("--format is missing; known are %s", strings.Join(migrate.Formats(), ", "))
		}
	}
	if err := i.options.Check(); err != nil {
		return nil, usagef("--format %s: %w", quoted(i.options.Format), err)
	}
	return i, nil
}

// fromFile goes through the file twice: to check it, and to import it.
func (i *keyImport) fromFile(ctx context.Context, file *os.File) error {
	before, err := file.Stat()
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if before.IsDir() {
		return usagef("%s is a folder", file.Name())
	}
	if !before.Mode().IsRegular() { // a pipe, such as shells make of <(…)
		return i.fromInput(ctx, file)
	}
	i.bar.begin("Checked", before.Size())
	if err := i.pass(ctx, file, i.check); err != nil {
		return i.brokenOff(err, "nothing was imported")
	}
	if i.report.Refused > 0 && !i.skipInvalid {
		return errWrong
	}
	if i.dryRun {
		return nil
	}
	now, err := file.Stat()
	if err == nil && (now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
		err = errors.New("it was changed while it was checked; nothing was imported: run this again")
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	expected := i.report.done()
	i.report.again()
	i.bar.begin("Imported", before.Size())
	if err := i.pass(ctx, file, i.apply); err != nil {
		return i.brokenOff(err, "")
	}
	if missing := expected - i.report.done(); missing > 0 {
		return fmt.Errorf("%s refused that could have been imported when the file was checked: it has them twice, for different users or apps, or they were made or revoked meanwhile; run this again, and the report names their lines", were(missing))
	}
	return nil
}

// fromInput goes through what can be read only once.
func (i *keyImport) fromInput(ctx context.Context, input io.Reader) error {
	i.report.applied = !i.dryRun
	i.bar.begin("Read", 0)
	err := i.pass(ctx, input, func(ctx context.Context, batch []entry) error {
		refused := i.report.Refused
		if err := i.check(ctx, batch); err != nil || i.dryRun {
			return err
		}
		i.report.undo(batch)
		if i.report.Refused > refused && !i.skipInvalid {
			return errWrongHere
		}
		return i.apply(ctx, batch)
	})
	return i.brokenOff(err, "")
}

// errWrongHere is errWrong for standard input.
var errWrongHere = errors.New("some keys can't be imported, as the report says: correct them, or leave them out with --skip-invalid")

// brokenOff adds to what ended an import how far it came, and what to do.
func (i *keyImport) brokenOff(err error, far string) error {
	if err == nil {
		return nil
	}
	if far == "" {
		far = fmt.Sprintf("until then %s imported, which stay; run this again, and it goes on from there", were(i.report.Imported))
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted: %s", far)
	}
	return fmt.Errorf("%w; %s", err, far)
}

func were(n int) string {
	if n == 1 {
		return "1 key was"
	}
	return fmt.Sprintf("%d keys were", n)
}

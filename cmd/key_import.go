package cmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
Imports keys that were minted elsewhere, so that clients can keep using them.
The store keeps only the SHA-256 of each key, never its text.

The import first checks the whole file, against the store too, and reports
mistakes by line. Without mistakes, or with --skip-invalid, it imports the keys
in batches, each completely or not at all. It skips keys that exist already, so
an interrupted import continues where it was when it is run again. With --db, a
large file is imported at once: all its keys or none.

The report lists each key's name in the file with its new ID, and ends with the
credential lines that a site needs to read keys where the old gateway's clients
send them. It warns of a file that is one page of a longer list.

Standard input (-) can be read only once, and must not be copied to disk. Each
batch is checked and then imported; the first batch with a mistake ends the
import.

csv     has a header line that names the columns: credential or sha256, user,
        app, type (` + migrate.AppKey + `, the default where there is an app,
        or ` + migrate.PAT + `), description, scopes and endpoints
        (separated by spaces or semicolons; - is empty), plan, rate, quota,
        concurrent, addresses, resources (model=llama-3*), expires_at, disabled
jsonl   has one JSON object a line, with these as fields
kong    is what "deck gateway dump" or "kong config db_export" writes
tyk     is JSON of the Gateway's or the Dashboard's API: {"keys": […]}, a list
        of {"key_id", "key_hash", "data"}, or sessions by key; keys hashed with
        SHA-256 can be imported, those hashed with murmur, the default, can't
apisix  is apisix.yaml, or what the Admin API answers for consumers
aws     is what "aws apigateway get-api-keys --include-values" writes`
	return cmd
}

// errWrong is returned if the report lists mistakes.
var errWrong = errors.New("nothing was imported, because some keys can't be, as the report says: correct them, or leave them out with --skip-invalid")

func importKeys(c *call) (err error) {
	i, err := newImport(c)
	if err != nil {
		return err
	}
	if c.flag("create-missing") == "true" && !i.dryRun {
		c.Annotations = map[string]string{makesStore: "yes"}
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
	defer stop()
	// A second interrupt ends the program at once.
	context.AfterFunc(ctx, stop)
	var file *os.File
	if c.args[0] != "-" {
		if file, err = os.Open(c.args[0]); err != nil {
			return fmt.Errorf("reading the keys: %w", err)
		}
		defer file.Close()
		i.mayBuild(ctx, file)
	}
	if err := c.connect(); err != nil {
		return err
	}
	if c.api.offline != nil && c.flag("config") == "" {
		c.PrintErrln("Without --config the scopes are not checked against those of a configuration.")
	}
	i.report.begin()
	defer func() { err = errors.Join(err, i.report.end()) }()
	if file == nil {
		return i.fromInput(ctx, c.InOrStdin())
	}
	if i.build != nil {
		return i.fromFileAtOnce(ctx, file)
	}
	return i.fromFile(ctx, file)
}

func newImport(c *call) (*keyImport, error) {
	scopes := c.list("scopes")
	if c.Flags().Changed("scopes") && len(scopes) == 0 {
		scopes = []string{} // the flag asks for none
	}
	sources := new(migrate.Sources)
	i := &keyImport{
		call: c, report: &report{call: c, sources: sources}, bar: newBar(c.ErrOrStderr()), most: batchKeys,
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

// fromFile reads the file twice: to check it, and to import it.
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
	if i.api.offline != nil {
		i.most = batchKeysOffline
	}
	i.bar.begin("Checked", before.Size())
	sum := sha256.New()
	all := io.TeeReader(file, sum)
	if err := i.pass(ctx, all, i.check); err != nil {
		return i.brokenOff(err, "nothing was imported")
	}
	if i.report.Refused > 0 && !i.skipInvalid {
		return errWrong
	}
	if i.dryRun {
		return nil
	}
	_, err = io.Copy(io.Discard, all) // what no format reads, such as a line's end
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	i.file = hex.EncodeToString(sum.Sum(nil))
	now, err := file.Stat()
	if err == nil && (now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
		err = errors.New("the file changed during the check, so nothing was imported; run this again")
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

// fromInput imports from a source that can be read only once.
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

// brokenOff adds to the error that ended an import how far the import got, and
// the remedy.
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

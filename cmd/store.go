package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func storeCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "store <command>", Short: "Backs up, restores and checks the key store"})
	restore := command("restore FILE --db STORE", "Replaces a key store that no server is using with a backup; keys revoked since stay revoked",
		1, 1, restoreStore, func(f *pflag.FlagSet) {
			f.Bool("accept-lost-revocations", false, "Restore even if revocations since the backup are lost, so that those keys work again")
		})
	restore.Long = `
Replaces the key store that --db names with a backup. No server may be using the
store: stop Caddy, restore, start Caddy.

Restrictions since the backup are kept, because they are read from the replaced
store. Revoked keys stay revoked, deleted users deleted, and disabled keys
disabled. Scopes, endpoints and expiries are the narrower of the two; passwords
and second factors are the newer ones; everybody is signed out.

A backup leaves a mark in its store, and only a store with that mark knows all
restrictions since. Nothing is restored if that store is gone or damaged, or is
another store, a copy from before the backup, or one that another backup was
restored to since, unless --accept-lost-revocations is given.

The previous store is kept next to the new one, as STORE.replaced-TIME.`
	cmd.AddCommand(
		command("backup [FILE | -]", "Copies the key store while it is in use, and checks the copy before naming it FILE; - is standard output",
			0, 1, backUpStore, func(f *pflag.FlagSet) {
				f.Bool("force", false, "Replace a file of that name")
			}),
		restore,
		command("check", "Reads the whole key store, and lists its faults", 0, 0, checkStore),
		command("clock", "Accepts the server's clock if it is far from the newest write in the key store", 0, 0, acceptClock, func(f *pflag.FlagSet) {
			f.Bool("accept", false, "Make the server's clock the time of the newest write")
		}),
		command("stats", "Counts what is in the key store", 0, 0, countStore),
		migrateStoreCommand(),
	)
	return cmd
}

func restoreStore(c *call) error {
	store, err := c.required("db")
	if err != nil {
		return usagef("--db is missing: name the key store to replace, which no server may be using")
	}
	if c.flag("address") != "" {
		return usagef("a store can't be restored while a server is using it: leave --address out, and stop Caddy")
	}
	accept, _ := c.Flags().GetBool("accept-lost-revocations") // declared as such
	report, err := boltstore.Restore(c.Context(), c.args[0], store, accept)
	if err != nil {
		return err
	}
	if c.json {
		return c.printValue(report)
	}
	return c.tellRestored(store, report)
}

// tellRestored describes what a restore did.
func (c *call) tellRestored(store string, r boltstore.Report) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "Restored %s as it was at %s.\n", store, when(r.BackupAt))
	if r.ReplacedFile != "" {
		fmt.Fprintf(out, "The previous store is %s: delete it when you no longer need it.\n", r.ReplacedFile)
	}
	for _, line := range []struct {
		n    int
		one  string
		what string
	}{
		{r.KeysRevoked, "key", "revoked since, stays revoked"},
		{r.KeysNarrowed, "key", "disabled or narrowed since, stays so"},
		{r.UsersDeleted, "user", "deleted since, stays deleted"},
		{r.UsersChanged, "user", "suspended or with another e-mail address, password or second factor since, stays so"},
		{r.CollaboratorsRemoved, "collaborator", "removed since, stays removed"},
		{r.CollaboratorsNarrowed, "collaborator", "narrowed since, stays so"},
		{r.AppsReturned, "app", "deleted since, exists again without keys and collaborators: delete those you don't want"},
		{r.SessionsEnded, "session", "ended: sign in again"},
		{r.UsersGone, "user", "created since, is gone"},
		{r.KeysGone, "key", "created since, is gone: the holder needs another"},
		{r.Unreadable, "record", "of the previous store could not be read"},
	} {
		if line.n > 0 {
			fmt.Fprintf(out, "  %s: %s\n", counted(line.n, line.one), line.what)
		}
	}
	if r.LostRevocations != "" {
		fmt.Fprintf(out, "Revocations since the backup are unknown (%s), so keys revoked since may work again. Revoke them again.\n", r.LostRevocations)
	}
	for _, notice := range r.Notices {
		fmt.Fprintf(out, "Notice: %s.\n", notice)
	}
	return nil
}

// checkStore fails if it finds a fault, so that scripts can check the exit status.
// It checks a file without opening it as a store, because that fails for a
// damaged one.
func checkStore(c *call) error {
	var text []byte
	var check *manage.StoreCheck
	if file := c.flag("db"); file != "" {
		if c.flag("address") != "" {
			return usagef("--db checks a file, and --address asks a running Caddy: give one of them")
		}
		found, err := boltstore.Examine(c.Context(), file)
		if err != nil {
			return fmt.Errorf("%w; if a Caddy is running, leave --db out to ask it", err)
		}
		check = manage.ShowCheck(found)
		if text, err = json.Marshal(map[string]any{"store_check": check}); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	} else {
		if err := c.connect(); err != nil {
			return err
		}
		var answer *manage.Answer
		var err error
		if text, answer, err = c.api.askAt(c.Context(), "GET", []string{"store", "check"}, nil, nil); err != nil {
			return err
		}
		check = answer.StoreCheck
	}
	if err := c.tellChecked(text, check); err != nil {
		return err
	}
	if damaged(check.Findings) {
		return errors.New("the key store is damaged: stop Caddy and restore a backup with \"store restore\", which keeps the revocations since that can still be read")
	}
	if !check.Good {
		return errors.New("the key store can be read, but some of its records don't fit together")
	}
	return nil
}

func (c *call) tellChecked(text []byte, check *manage.StoreCheck) error {
	if c.json {
		return c.printJSON(text)
	}
	out := c.OutOrStdout()
	for _, f := range check.Findings {
		kind := "odd"
		if f.Damage {
			kind = "damage"
		}
		fmt.Fprintf(out, "%s: %s\n", kind, f.Text)
	}
	if check.More > 0 {
		fmt.Fprintf(out, "and %d more\n", check.More)
	}
	if check.Good {
		fmt.Fprintf(out, "The key store is good: %s, every page, record and index read.\n", counted(check.Records, "record"))
	}
	return nil
}

func damaged(list []keys.Finding) bool {
	for _, f := range list {
		if f.Damage {
			return true
		}
	}
	return false
}

// acceptClock makes the clock the time of the newest write.
func acceptClock(c *call) error {
	if accept, _ := c.Flags().GetBool("accept"); !accept { // declared as such
		return usagef("--accept is missing: check first that the server's clock is right, because it becomes the time of the newest write")
	}
	if err := c.connect(); err != nil {
		return err
	}
	text, answer, err := c.api.askAt(c.Context(), "POST", []string{"store", "clock"}, nil, nil)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(text)
	}
	done, out := answer.StoreClock, c.OutOrStdout()
	fmt.Fprintf(out, "The newest write was dated %s, and is now dated %s.\n", when(done.Was), when(done.Now))
	if done.SessionsEnded > 0 {
		fmt.Fprintf(out, "  %s: dated ahead of the clock, ended\n", counted(done.SessionsEnded, "session"))
	}
	for _, id := range done.KeyIDs {
		fmt.Fprintf(out, "  key %s: changed at a time ahead of the clock; look at its expiry\n", id)
	}
	return nil
}

func countStore(c *call) error {
	if err := c.connect(); err != nil {
		return err
	}
	text, answer, err := c.api.askAt(c.Context(), "GET", []string{"store", "stats"}, nil, nil)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(text)
	}
	s := answer.StoreStats
	return c.details(
		[2]string{"Users", and(s.Users, part{s.SuspendedUsers, "suspended"}) + fmt.Sprintf("; %d deleted", s.RetiredUsers)},
		[2]string{"Apps", fmt.Sprint(s.Apps)},
		[2]string{"App keys", kinds(s.AppKeys)},
		[2]string{"Personal access tokens", kinds(s.PATs)},
		[2]string{"Sessions", kinds(s.Sessions)},
		[2]string{"Collaborators", fmt.Sprint(s.Collaborators)},
		[2]string{"Revoked keys", fmt.Sprint(s.Tombstones)},
		[2]string{"Audit entries", span(s)},
		[2]string{"Last write", whenever(s.LastWrite)},
		[2]string{"File", fmt.Sprintf("%s, of which %s are free", humanize.Bytes(uint64(s.FileBytes)), humanize.Bytes(uint64(s.FreeBytes)))},
	)
}

// part is how many of a total have a state.
type part struct {
	n     int
	state string
}

// and returns a total with its nonzero parts.
func and(n int, parts ...part) string {
	var told []string
	for _, p := range parts {
		if p.n > 0 {
			told = append(told, fmt.Sprintf("%d %s", p.n, p.state))
		}
	}
	if len(told) == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d, of which %s", n, strings.Join(told, ", "))
}

func kinds(k keys.KindStats) string {
	return and(k.Total(), part{k.Disabled, "disabled"}, part{k.Expired, "expired"}, part{k.Suspended, "of suspended users"})
}

func span(s *keys.Stats) string {
	if s.AuditFrom == nil || s.AuditTo == nil {
		return fmt.Sprint(s.AuditEntries)
	}
	return fmt.Sprintf("%d, from %s to %s", s.AuditEntries, when(*s.AuditFrom), when(*s.AuditTo))
}

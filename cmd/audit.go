package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func auditCommand() *cobra.Command {
	cmd := command("audit [--user USER] [--app APP] [--key ID] [--since TIME] [--until TIME] | --verify", "Shows who changed what, when and from where, or verifies that the log is whole",
		0, 0, audit, func(f *pflag.FlagSet) {
			f.String("user", "", "Only changes to this user and to what the user owns")
			f.String("app", "", "Only changes to this app, its keys and collaborators")
			f.String("key", "", "Only changes to the key with this key ID")
			f.String("actor", "", "Only changes by this user, or with the key with this key ID")
			f.String("action", "", "Only this action, for example key.revoke")
			f.String("since", "", "Only since this time: 2030-12-31T23:59:59Z, 2030-12-31, or 24h for the last day")
			f.String("until", "", "Only before this time, written like --since")
			f.Bool("verify", false, "Verify that no entry was altered or removed")
		})
	cmd.Long = `
Shows the audit log, oldest first: who changed what, when, from where, and the
fields before and after the change. The log holds no secret.

Entries are chained, so --verify finds one that was altered or removed. A person
who can write the file can also rewrite the log up to its end. To notice that,
keep the newest hash, which --verify prints, where that person can't write, and
look for the hash in the output of -o json later.`
	return cmd
}

func audit(c *call) error {
	query := url.Values{}
	for flag, field := range map[string]string{"app": "app_id", "key": "key_id", "actor": "actor", "action": "action"} {
		if value := c.flag(flag); value != "" {
			query.Set(field, value)
		}
	}
	for _, name := range []string{"since", "until"} {
		at, err := c.timeFlag(name)
		if err != nil {
			return err
		}
		if at != "" {
			query.Set(name, at)
		}
	}
	path := []string{"audit"}
	if user := c.flag("user"); user != "" {
		path = []string{"users", user, "audit"}
	}
	if c.flag("verify") == "true" {
		if len(query) > 0 || len(path) > 1 {
			return usagef("--verify is about the whole log; leave the other flags out")
		}
		return verifyAudit(c)
	}
	return c.tableOf(path, query, "entries", row("TIME", "ACTION", "OF", "BY", "FROM", "CHANGE"), func(a *manage.Answer) (rows []string) {
		for _, e := range a.Entries {
			rows = append(rows, row(when(e.At), e.Action, subject(e), actor(e), e.Address, changes(e)))
		}
		return rows
	})
}

// timeFlag returns the value of a flag that holds a time, in the API's format, or
// an empty string if the flag isn't given.
func (c *call) timeFlag(flag string) (string, error) {
	value := c.flag(flag)
	if value == "" {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		at, err = time.ParseInLocation(time.DateOnly, value, time.Local)
	}
	if err != nil {
		var ago time.Duration
		if ago, err = caddy.ParseDuration(value); err == nil && ago < 0 {
			err = errors.New("it is negative")
		}
		at = time.Now().Add(-ago)
	}
	if err != nil {
		return "", usagef("--%s takes a time, such as 2030-12-31T23:59:59Z or 2030-12-31, or how long ago, such as 24h", flag)
	}
	return at.UTC().Format(time.RFC3339Nano), nil
}

// subject returns the IDs of the record that was changed.
func subject(e manage.AuditEntry) string {
	owner := e.UserID
	if e.AppID != "" {
		owner += "/" + e.AppID
	}
	return strings.Join(strings.Fields(owner+" "+e.KeyID+" "+e.CollaboratorID), " ")
}

// actor returns the user who made a change, and the ID of the credential used.
func actor(e manage.AuditEntry) string {
	return strings.TrimSpace(e.ActorUserID + " " + e.ActorID)
}

// changes lists the fields that changed. Of a deleted record it shows only the
// reason; -o json has all fields.
func changes(e manage.AuditEntry) string {
	var before, after map[string]json.RawMessage
	_ = json.Unmarshal(e.Before, &before) // only objects are shown
	_ = json.Unmarshal(e.After, &after)
	fields := map[string]json.RawMessage{}
	maps.Copy(fields, after)
	if strings.HasSuffix(e.Action, ".change") {
		for name := range before {
			if _, there := after[name]; !there {
				fields[name] = json.RawMessage("none")
			}
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text := name + ": "
		if was, there := before[name]; there {
			text += string(was) + " → "
		}
		list = append(list, text+string(fields[name]))
	}
	return strings.Join(list, ", ")
}

func verifyAudit(c *call) error {
	text, answer, err := c.ask("GET", []string{"audit", "verify"}, nil, nil)
	if err != nil {
		return err
	}
	v := answer.Verification
	if c.json {
		err = c.printJSON(text)
	} else if v.Whole && v.Entries == 0 {
		err = c.say(nil, "The audit log is whole, and has no entries yet.")
	} else if v.Whole {
		err = errors.Join(
			c.say(nil, "The audit log is whole. Keep the newest hash where those who can write the store can't."),
			c.details([2]string{"Entries", fmt.Sprint(v.Entries)}, [2]string{"First", fmt.Sprintf("%d, of %s", v.First, when(*v.FirstAt))},
				[2]string{"Last", fmt.Sprintf("%d, of %s", v.Last, when(*v.LastAt))}, [2]string{"Newest hash", v.Hash}))
	}
	if err == nil && !v.Whole {
		err = fmt.Errorf("the audit log is not whole: %s", v.Broken)
	}
	return err
}

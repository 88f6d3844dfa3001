package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func setDisabled(c *call, disabled bool) error {
	ids, err := c.keyIDs()
	if err != nil {
		return err
	}
	changes := make([]any, len(ids))
	for i, id := range ids {
		changes[i] = map[string]any{"id": id, "disabled": disabled}
	}
	text, _, err := c.ask("PATCH", []string{"keys"}, nil, map[string]any{"keys": changes})
	if err != nil {
		return placed(err, "keys[#].id", ids)
	}
	if disabled {
		return c.say(text, "Disabled %s until enabled again.", strings.Join(ids, ", "))
	}
	return c.say(text, "Enabled %s.", strings.Join(ids, ", "))
}

func rotateKey(c *call) error {
	ids, err := c.keyIDs()
	if err != nil {
		return err
	}
	grace := c.duration("grace")
	if grace < 0 {
		return usagef("--grace takes a time from now on, such as 24h")
	}
	body := map[string]any{"grace": grace.String()}
	if err := c.takeExpiry(body); err != nil {
		return err
	}
	text, answer, err := c.ask("POST", []string{"keys", ids[0], "rotate"}, nil, body)
	if err != nil {
		return flagged(placed(err, "key_id", ids), map[string]string{"expires_at": "--expires-in"})
	}
	c.warn(answer)
	end := "is revoked"
	if grace > 0 {
		end = "works until " + when(time.Now().Add(grace)) + " at the latest"
	}
	return c.say(text, "Created %s to replace %s, which %s.\n%s", answer.Key.KeyID, ids[0], end, shownOnce(*answer.Key))
}

func revokeKeys(c *call) error {
	if c.choosesKeys() {
		return revokeMany(c)
	}
	file := c.flag("file")
	fromInput := len(c.args) == 1 && c.args[0] == "-"
	switch {
	case file != "" && len(c.args) > 0, file == "" && len(c.args) == 0:
		return usagef("name keys by key ID, or give - or --file to read whole credentials, and only one of these")
	case file != "" || fromInput:
		return revokeListed(c, file)
	}
	ids, err := c.keyIDs()
	if err != nil {
		return err
	}
	text, answer, err := c.ask("DELETE", []string{"keys"}, nil, map[string]any{"ids": ids})
	if err != nil {
		err = placed(err, "ids[#]", ids)
		if _, unplaced := errors.AsType[refusedError](err); len(ids) > 1 && !unplaced {
			return fmt.Errorf("%w; leave it out to revoke the others", err)
		}
		return err
	}
	return c.say(text, "%s", revokedNow(answer))
}

// placed puts the place where an element of a list was given in front of its
// refusal. In field, the API's name, # is the number of the element.
func placed(err error, field string, places []string) error {
	r, ok := errors.AsType[refusedError](err)
	if !ok {
		return err
	}
	for i, place := range places {
		if one := strings.ReplaceAll(field, "#", strconv.Itoa(i)); r.Field == one {
			return fmt.Errorf("%s: %s", place, strings.TrimPrefix(r.Error(), one+": "))
		}
	}
	return err
}

// flagged puts the flag or argument that gave a field in front of its refusal.
// places are the flags and arguments by the API's names of the fields.
func flagged(err error, places map[string]string) error {
	for field, place := range places {
		err = placed(err, field, []string{place})
	}
	return err
}

// why describes in words why a credential isn't valid.
var why = map[string]string{
	manage.StandingDisabled:  "it is disabled; \"key enable\" undoes that",
	manage.StandingExpired:   "it has expired",
	manage.StandingSuspended: "its user is suspended",
	manage.StandingRevoked:   "it was revoked",
	manage.StandingMistyped:  "its checksum is wrong: it was mistyped or cut off",
	manage.StandingUnknown:   "it is unknown",
}

// verifyKey shows whether the gate accepts a credential. It fails if the gate
// refuses it, so that scripts can check the exit status.
func verifyKey(c *call) error {
	if len(c.args) == 1 && (c.args[0] != "-" || c.flag("file") != "") {
		return usagef("it takes no argument except -; the credential is read either from standard input or from the file that --file names")
	}
	credential, err := c.secret(c.flag("file"), "the credential")
	if err != nil {
		return err
	}
	text, answer, err := c.ask("POST", []string{"keys", "verify"}, nil, map[string]string{"credential": credential})
	if err != nil {
		return err
	}
	switch {
	case c.json:
		err = c.printJSON(text)
	case answer.Key != nil:
		err = c.details(describe(*answer.Key, answer.Standing)...)
	case answer.Revocation != nil:
		err = c.details([2]string{"ID", answer.Revocation.KeyID}, [2]string{"State", answer.Standing},
			[2]string{"Revoked", when(answer.Revocation.RevokedAt)}, [2]string{"Reason", answer.Revocation.Reason})
	}
	if err != nil || answer.Standing == manage.StandingActive {
		return err
	}
	return fmt.Errorf("the gate refuses this credential: %s", why[answer.Standing])
}

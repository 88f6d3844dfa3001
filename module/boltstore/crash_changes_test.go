//go:build linux

package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The crash tests make an endless sequence of changes in a store. A change is
// the same whenever it is made. One process makes the changes, and another
// counts the acknowledged ones and checks the store afterwards.

// asChanger makes the test binary that other process. Its value is the path of
// the store, the changes to begin and to end with, and what becomes of a
// failure, one after the other.
const asChanger = "CADDY_API_KEYS_TEST_AS_CHANGER"

// The actions of a changer after a failed change.
const (
	goesOn = "goes on" // when the store answers again
	looks  = "looks"   // that the store refuses, and ends
	// restores is what it does instead of any change: the backup next to the store.
	restores = "restores"
	// opens is that it opens the store, and ends.
	opens = "opens"
)

func init() {
	value := os.Getenv(asChanger)
	if value == "" {
		return
	}
	// The steps of a commit are counted by thread.
	runtime.LockOSThread()
	parts := strings.Split(value, "\n")
	first, errFirst := strconv.Atoi(parts[1])
	end, errEnd := strconv.Atoi(parts[2])
	err := errors.Join(errFirst, errEnd)
	switch parts[3] {
	case restores:
		_, err = Restore(context.Background(), parts[0]+".backup", parts[0], false)
		fmt.Println("end", err)
		os.Exit(0)
	case opens:
		s, err := Open(parts[0])
		if err == nil {
			err = s.Close()
		}
		fmt.Println("end", err)
		os.Exit(0)
	}
	if err == nil {
		err = makeChanges(parts[0], first, end, parts[3])
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// makeChanges tells on its standard output what it does, one word and the
// number of the change a line.
func makeChanges(path string, first, end int, onFailure string) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	owned, err := directory.New(s, 1<<16)
	if err != nil {
		return err
	}
	d := owned.Directory
	fmt.Println("ready", first)
	// Until it is let go.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	failures := 0
	for n := first; n < end; {
		if failures > 1000 {
			return errors.New("there is no end to its failures")
		}
		err := makeChange(d, n)
		if err == nil {
			fmt.Println("done", n)
			n++
			continue
		}
		if !errors.Is(err, keys.ErrUnavailable) {
			return fmt.Errorf("change %d failed with the wrong error: %w", n, err)
		}
		failures++
		if fmt.Println("failed", n); onFailure == looks {
			return refuses(d, n)
		}
		last, err := waitForStore(d)
		if err != nil {
			return err
		}
		switch last {
		case n:
			fmt.Println("there", n)
			n++
		case n - 1:
			fmt.Println("gone", n)
		default:
			return fmt.Errorf("after the failure of change %d the last is %d", n, last)
		}
	}
	fmt.Println("end", end)
	return owned.Close()
}

// waitForStore returns the last change when the store answers again.
func waitForStore(d *directory.Directory) (int, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		last, err := lastChange(d)
		if err == nil {
			return last, nil
		}
		if !errors.Is(err, keys.ErrUnavailable) || time.Now().After(deadline) {
			return 0, fmt.Errorf("waiting for the store to be opened again: %w", err)
		}
		<-time.After(time.Millisecond)
	}
}

// refuses wants the store to refuse while the disk fails, through some attempts
// to open it again.
func refuses(d *directory.Directory, n int) error {
	for range 50 {
		_, err := d.Find(context.Background(), digestOf(0, 0))
		for what, err := range map[string]error{"reading": err, "writing": makeChange(d, n)} {
			if !errors.Is(err, keys.ErrUnavailable) {
				return fmt.Errorf("%s a store whose file can't be written: got %w", what, err)
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	fmt.Println("refused", n)
	return nil
}

func digestOf(group, which int) credential.Digest {
	return credential.DigestOf(fmt.Sprintf("%d/%d", group, which))
}

func idOf(group, which int) string { return fmt.Sprintf("cak_%d_%d", group, which) }

var (
	owner  = keys.Actor{ID: keys.Operator}
	theApp = keys.AppRef{OwnerID: "u", AppID: "a"}
	// guest is the collaborator of theApp.
	guest = keys.CollaboratorRef{AppRef: theApp, UserID: "v"}
)

// Change 0 makes a user, who is called by the number of the last change, and
// what else is needed. The following come in groups.
const inGroup = 9

// makeChange makes change n.
func makeChange(d *directory.Directory, n int) error {
	return d.Update(context.Background(), owner, func(tx *keys.Tx) error {
		if n == 0 {
			return begin(tx)
		}
		group := (n - 1) / inGroup
		if err := step(tx, group, (n-1)%inGroup); err != nil {
			return err
		}
		_, err := tx.ChangeUser("u", func(u *keys.User) error {
			u.Name = strconv.Itoa(n)
			return nil
		})
		return err
	})
}

func begin(tx *keys.Tx) error {
	for _, u := range []keys.User{{ID: "u", Name: "0"}, {ID: "v"}} {
		if _, err := tx.CreateUser(u); err != nil {
			return err
		}
	}
	_, err := tx.CreateApp(keys.App{AppRef: theApp})
	return err
}

// step makes one change of a group: what befalls an app key, those who may
// work on the app, and, in the end, several keys at once.
func step(tx *keys.Tx, group, n int) (err error) {
	key := keys.Credential{
		Digest: digestOf(group, 0), ID: idOf(group, 0), Kind: policy.AppKey, UserID: "u", AppID: "a",
		Description: strings.Repeat("long ", 100), Scopes: []string{"Inputs:Get", "Inputs:Add"},
	}
	change := func(id string, change func(*keys.Credential)) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error {
			change(c)
			return nil
		})
		return err
	}
	switch n {
	case 0:
		_, err = tx.CreateCredential(key)
	case 1:
		err = change(key.ID, func(c *keys.Credential) { c.Disabled = true })
	case 2:
		err = change(key.ID, func(c *keys.Credential) { c.Disabled = false })
	case 3:
		err = change(key.ID, func(c *keys.Credential) { c.Scopes = c.Scopes[:1] })
	case 4:
		_, err = tx.Rotate(key.ID, keys.Rotation{Digest: digestOf(group, 1), ID: idOf(group, 1)})
	case 5:
		_, err = tx.AddCollaborator(keys.Collaborator{CollaboratorRef: guest, Scopes: key.Scopes})
	case 6:
		err = tx.RemoveCollaborator(guest)
	case 7:
		key.Digest, key.ID, key.Kind, key.AppID = digestOf(group, 2), idOf(group, 2), policy.PAT, ""
		_, err = tx.CreateCredential(key)
	case 8:
		if group%3 < 2 {
			return tx.Revoke(idOf(group, 1), "leaked")
		}
		if err := tx.DeleteApp(theApp); err != nil {
			return err
		}
		for i := range 3 {
			if err := tx.Revoke(idOf(group-i, 2), "all at once"); err != nil {
				return err
			}
		}
		_, err = tx.CreateApp(keys.App{AppRef: theApp})
	}
	return err
}

// lastChange is the number of the last change that the store has, -1 for none.
func lastChange(d *directory.Directory) (n int, err error) {
	err = d.View(context.Background(), func(r keys.Reader) error {
		u, err := r.User("u")
		if errors.Is(err, keys.ErrNotFound) {
			n = -1
			return nil
		}
		if err == nil {
			n, err = strconv.Atoi(u.Name)
		}
		return err
	})
	return n, err
}

// written is all that the first changes have to do with, in words: every
// credential that there ever was, and every list. Times are left out, and what
// other changes write.
func written(d *directory.Directory, changes int) (string, error) {
	var text strings.Builder
	for group := range changes/inGroup + 1 {
		for which := range 3 {
			e, err := d.Find(context.Background(), digestOf(group, which))
			if err != nil {
				return "", err
			}
			fmt.Fprintln(&text, idOf(group, which), d.Standing(e), e.Caller().KeyID)
		}
	}
	err := d.View(context.Background(), func(r keys.Reader) error {
		for group := range changes/inGroup + 1 {
			for which := range 3 {
				t, err := r.Tombstone(digestOf(group, which))
				if err != nil && !errors.Is(err, keys.ErrNotFound) {
					return err
				}
				fmt.Fprintln(&text, "tombstone", t.ID, t.Reason)
			}
		}
		return errors.Join(
			writeList(&text, r.Users(0), func(u keys.User) string { return u.ID + " " + u.Name }),
			writeList(&text, r.Apps("u", 0), func(a keys.App) string { return a.AppID }),
			writeList(&text, r.Credentials("u", 0), inWords),
			writeList(&text, r.AppCredentials(theApp, 0), inWords),
			writeList(&text, r.Collaborators(theApp, 0), func(c keys.Collaborator) string { return c.UserID + fmt.Sprint(c.Scopes) }),
			writeList(&text, r.Collaborations("v", 0), func(c keys.Collaborator) string { return c.AppID + fmt.Sprint(c.Scopes) }),
		)
	})
	return text.String(), err
}

func inWords(c keys.Credential) string {
	return fmt.Sprint(c.ID, c.Kind, c.AppID, c.Scopes, c.Disabled)
}

func writeList[T any](text *strings.Builder, list iter.Seq2[T, error], words func(T) string) error {
	for v, err := range list {
		if err != nil {
			return err
		}
		fmt.Fprintln(text, words(v))
	}
	fmt.Fprintln(text, "end of list")
	return nil
}

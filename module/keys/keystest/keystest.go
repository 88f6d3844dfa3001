// Package keystest is the suite that every [keys.Store] passes.
package keystest

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Run runs the suite. open makes a new and empty store for each test, and
// closes it when the test ends, if the test has not. Every function that a test
// gives to Update runs twice.
func Run(t *testing.T, open func(t *testing.T) keys.Store) {
	for name, test := range map[string]func(*testing.T, keys.Store){
		"NotFound":              testNotFound,
		"RoundTrip":             testRoundTrip,
		"Times":                 testTimes,
		"Endpoints":             testEndpoints,
		"Order":                 testOrder,
		"Prefixes":              testPrefixes,
		"Replace":               testReplace,
		"ReplaceMoves":          testReplaceMoves,
		"Delete":                testDelete,
		"DeleteWhileWalking":    testDeleteWhileWalking,
		"Iterators":             testIterators,
		"Copies":                testCopies,
		"Retired":               testRetired,
		"RetiredUsers":          testRetiredUsers,
		"Emails":                testEmails,
		"EmailTaken":            testEmailTaken,
		"LastUsed":              testLastUsed,
		"Spendings":             testSpendings,
		"Tombstones":            testTombstones,
		"Audit":                 testAudit,
		"AuditShortened":        testAuditShortened,
		"LastWrite":             testLastWrite,
		"StoreID":               testStoreID,
		"ReadsOwnWrites":        testReadsOwnWrites,
		"OneMoment":             testOneMoment,
		"RollbackOnError":       testRollbackOnError,
		"RollbackOnPanic":       testRollbackOnPanic,
		"PanicInView":           testPanicInView,
		"ViewReturnsError":      testViewReturnsError,
		"Cancelled":             testCancelled,
		"Commits":               testCommits,
		"MaxWrites":             testMaxWrites,
		"Used":                  testUsed,
		"UsedIsNoChange":        testUsedIsNoChange,
		"Activity":              testActivity,
		"Activities":            testActivities,
		"Ready":                 testReady,
		"Feed":                  testFeed,
		"FeedOrder":             testFeedOrder,
		"FeedSilentWhereFailed": testFeedSilentWhereFailed,
		"NoFeed":                testNoFeed,
		"Made":                  testMade,
		"Totals":                testTotals,
		"Deletions":             testDeletions,
		"Close":                 testClose,
		"CloseWaits":            testCloseWaits,
	} {
		t.Run(name, func(t *testing.T) { test(t, Twice(open(t))) })
	}
}

// at is a time of the suite's own, a number of seconds after its beginning,
// with nanoseconds.
func at(seconds int) time.Time {
	return time.Date(2026, 2, 3, 4, 5, seconds, 123456789, time.UTC)
}

func user(id string) keys.User {
	return keys.User{ID: id, Name: "Name of " + id, CreatedAt: at(1), ModifiedAt: at(2)}
}

func app(owner, id string) keys.App {
	return keys.App{AppRef: keys.AppRef{OwnerID: owner, AppID: id}, CreatedAt: at(1), ModifiedAt: at(2)}
}

// appKey is a credential tied to an app; its text is its id.
func appKey(id, owner, app string) keys.Credential {
	return keys.Credential{
		Digest: credential.DigestOf(id), ID: id, Kind: policy.AppKey, UserID: owner, AppID: app,
		Scopes: []string{"Inputs:Get"}, CreatedAt: at(1), ModifiedAt: at(2), CreatedBy: keys.Operator,
	}
}

// token is a personal access token; its text is its id.
func token(id, holder string) keys.Credential {
	c := appKey(id, holder, "")
	c.Kind = policy.PAT
	return c
}

func collaborator(owner, app, user string) keys.Collaborator {
	return keys.Collaborator{
		CollaboratorRef: keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: owner, AppID: app}, UserID: user},
		Scopes:          []string{"Inputs:Get"}, CreatedAt: at(1), ModifiedAt: at(2),
	}
}

// view fails the test where fn does.
func view(t *testing.T, s keys.Store, fn func(keys.Reader) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// update fails the test where fn does.
func update(t *testing.T, s keys.Store, fn func(keys.Writer) error) {
	t.Helper()
	if _, err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// put writes records of any kind, in order, in as many updates as it takes.
func put(t *testing.T, s keys.Store, records ...any) {
	t.Helper()
	for some := range slices.Chunk(records, s.MaxWrites()) {
		update(t, s, func(w keys.Writer) error { return putAll(w, some...) })
	}
}

func putAll(w keys.Writer, records ...any) error {
	for _, r := range records {
		var err error
		switch r := r.(type) {
		case keys.User:
			err = w.PutUser(r)
		case keys.App:
			err = w.PutApp(r)
		case keys.Credential:
			err = w.PutCredential(r)
		case keys.Collaborator:
			err = w.PutCollaborator(r)
		case keys.Tombstone:
			err = w.PutTombstone(r)
		case keys.AuditEntry:
			err = w.PutAuditEntry(r)
		case keys.AuditHead:
			err = w.PutAuditHead(r)
		default:
			err = fmt.Errorf("the suite can't put a %T", r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// equal compares what is stored of two records, except for the seq, which the
// store gives.
func equal[R any](t *testing.T, got, want R) {
	t.Helper()
	g, w := reflect.ValueOf(&got).Elem(), reflect.ValueOf(&want).Elem()
	if seq := g.FieldByName("Seq"); seq.IsValid() {
		if seq.Uint() == 0 {
			t.Errorf("%T has no Seq", got)
		}
		w.FieldByName("Seq").Set(seq)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T\n got %+v\nwant %+v", got, got, want)
	}
}

// ids reads a whole list and names its records.
func ids[R any](t *testing.T, list iter.Seq2[R, error]) []string {
	t.Helper()
	names := []string{}
	for r, err := range list {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		names = append(names, nameOf(r))
	}
	return names
}

func nameOf(record any) string {
	switch r := record.(type) {
	case keys.User:
		return r.ID
	case keys.App:
		return r.OwnerID + "/" + r.AppID
	case keys.Credential:
		return r.ID
	case keys.Collaborator:
		return r.OwnerID + "/" + r.AppID + "+" + r.UserID
	case keys.AuditEntry:
		return fmt.Sprint(r.Seq)
	}
	return fmt.Sprintf("%T", record)
}

func wantIDs[R any](t *testing.T, what string, list iter.Seq2[R, error], want ...string) {
	t.Helper()
	if got := ids(t, list); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func wantNotFound[R any](t *testing.T, what string, got R, err error) {
	t.Helper()
	if !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("%s: got %+v, %v; want ErrNotFound", what, got, err)
	}
}

// of fixes whose records a list is of.
func of[K, R any](list func(K, uint64) iter.Seq2[R, error], whose K) func(uint64) iter.Seq2[R, error] {
	return func(after uint64) iter.Seq2[R, error] { return list(whose, after) }
}

// wantOrder wants a list to be in the order of names, as a whole and from
// after each of its records.
func wantOrder[R any](t *testing.T, what string, list func(after uint64) iter.Seq2[R, error], names []string, name func(string) string) {
	t.Helper()
	var want []string
	for _, n := range names {
		want = append(want, name(n))
	}
	wantIDs(t, what, list(0), want...)

	var last uint64
	for i := range want {
		for r, err := range list(last) {
			if err != nil {
				t.Fatalf("%s after %d: %v", what, last, err)
			}
			seq := reflect.ValueOf(r).FieldByName("Seq").Uint()
			if nameOf(r) != want[i] || seq <= last {
				t.Fatalf("%s after %d: got %s (%d), want %s", what, last, nameOf(r), seq, want[i])
			}
			last = seq
			break
		}
	}
	wantIDs(t, what+" after the last", list(last))
}

package history

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Short names for histories that are written down.
var (
	none     = State{}
	good     = State{Standing: keys.Active, Permits: 1}
	narrowed = State{Standing: keys.Active, Permits: 2}
	disabled = State{Standing: keys.Disabled, Permits: 1}
	ending   = State{Standing: keys.Active, Permits: 1, Expires: 100}
)

// at is an acknowledged change. The time of the transaction is Began.
func at(began, ended int64, s State) Version {
	return Version{State: s, Began: began, Ended: ended, At: began, Acknowledged: true}
}

func failed(began, ended int64, s State) Version {
	return Version{State: s, Began: began, Ended: ended, At: began}
}

func void(v Version) Version {
	v.Void = true
	return v
}

func read(start, end int64, s State) Read { return Read{Start: start, End: end, State: s} }

func expired(start, end int64, s State) Read {
	return Read{Start: start, End: end, State: s, Expired: true}
}

func look(admitted, start, end int64) Look {
	return Look{Collaborator: -1, Everyone: -1, Permit: 1, Admitted: admitted, Start: start, End: end}
}

func collaborating(admitted, start, end int64) Look {
	return Look{Credential: 0, Collaborator: 1, Everyone: 2, Permit: 1, Admitted: admitted, Start: start, End: end}
}

func one(versions ...Version) [][]Version { return [][]Version{versions} }

func TestCheck(t *testing.T) {
	first := at(0, 0, good)
	revoked := one(first, at(10, 20, none))
	for _, tt := range []struct {
		name      string
		registers [][]Version
		reads     []Read
		looks     []Look
		settings  []Setting
		writes    []Write
		faults    int
	}{
		{name: "nothing", registers: one(first)},
		{name: "what was there from the beginning", registers: one(first), reads: []Read{read(1, 2, good)}},
		{name: "what never was", registers: one(first), reads: []Read{read(1, 2, none)}, faults: 1},

		{name: "before the change", registers: revoked, reads: []Read{read(1, 9, good)}},
		{name: "the future", registers: revoked, reads: []Read{read(1, 9, none)}, faults: 1},
		{name: "overlapping the change, either", registers: revoked, reads: []Read{read(5, 15, good), read(5, 15, none), read(12, 30, good), read(12, 30, none), read(11, 12, good), read(11, 12, none)}},
		{name: "overlapping, new and then old", registers: revoked, reads: []Read{read(12, 13, none), read(14, 15, good)}},
		{name: "after the change", registers: revoked, reads: []Read{read(21, 22, none)}},
		{name: "stale by one tick", registers: revoked, reads: []Read{read(21, 22, good)}, faults: 1},
		{name: "stale long after", registers: revoked, reads: []Read{read(900, 1000, good)}, faults: 1},
		{name: "a long read that began before the acknowledgement", registers: revoked, reads: []Read{read(19, 1000, good)}},
		{name: "each stale read counts", registers: revoked, reads: []Read{read(21, 22, good), read(23, 24, none), read(25, 26, good)}, faults: 2},

		{name: "not the newest but one", registers: one(first, at(10, 20, disabled), at(30, 40, narrowed)), reads: []Read{read(35, 36, good)}, faults: 1},
		{name: "either of two under way", registers: one(first, at(10, 50, disabled), at(30, 60, narrowed)), reads: []Read{read(35, 36, good), read(35, 36, disabled), read(35, 36, narrowed)}},
		{name: "the later was acknowledged first", registers: one(first, at(10, 90, disabled), at(30, 40, narrowed)), reads: []Read{read(50, 60, disabled)}, faults: 1},
		{name: "the same state again", registers: one(first, at(10, 20, disabled), at(30, 40, good)), reads: []Read{read(50, 60, good)}},
		{name: "the whole state counts", registers: one(first), reads: []Read{read(1, 2, State{Standing: keys.Active, Permits: 1, KeyID: "another"})}, faults: 1},
		{name: "another register's", registers: [][]Version{{first}, {at(0, 0, none)}}, reads: []Read{{Register: 1, Start: 1, End: 2, State: good}}, faults: 1},

		{name: "failed and took effect: seen", registers: one(first, failed(10, 20, none)), reads: []Read{read(12, 13, good), read(12, 13, none), read(30, 31, none)}},
		{name: "failed and took effect: from before", registers: one(first, failed(10, 20, none)), reads: []Read{read(30, 31, good)}, faults: 1},
		{name: "failed without effect: from before", registers: one(first, void(failed(10, 20, none))), reads: []Read{read(12, 13, good), read(30, 31, good)}},
		{name: "failed without effect: shown meanwhile", registers: one(first, void(failed(10, 20, none))), reads: []Read{read(12, 13, none), read(19, 40, none)}},
		{name: "failed without effect: shown after", registers: one(first, void(failed(10, 20, none))), reads: []Read{read(21, 22, none)}, faults: 1},
		{name: "what failed without effect replaces nothing", registers: one(first, at(2, 3, disabled), void(failed(10, 20, none))), reads: []Read{read(30, 31, good)}, faults: 1},
		{name: "an acknowledged change was lost", registers: one(first, void(at(10, 20, none))), faults: 1},

		{name: "good before its end", registers: one(at(0, 0, ending)), reads: []Read{read(1, 2, ending)}, settings: []Setting{{To: 50}}},
		{name: "expired before its end", registers: one(at(0, 0, ending)), reads: []Read{expired(1, 2, ending)}, settings: []Setting{{To: 50}}, faults: 1},
		{name: "good after its end", registers: one(at(0, 0, ending)), reads: []Read{read(1, 2, ending)}, settings: []Setting{{To: 100}}, faults: 1},
		{name: "expired after its end", registers: one(at(0, 0, ending)), reads: []Read{expired(1, 2, ending)}, settings: []Setting{{To: 100}}},
		{name: "either while the clock is set", registers: one(at(0, 0, ending)), reads: []Read{expired(6, 7, ending), read(6, 7, ending)}, settings: []Setting{{To: 50}, {5, 10, 200}}},
		{name: "the clock was set back before any write", registers: one(at(0, 0, ending)), reads: []Read{read(20, 21, ending)}, settings: []Setting{{To: 200}, {5, 10, 50}}},
		{name: "the clock was set back behind a write", registers: one(at(0, 0, ending)), writes: []Write{{2, 4, 200, true}}, reads: []Read{read(20, 21, ending)}, settings: []Setting{{To: 200}, {5, 10, 50}}, faults: 1},
		{name: "the clock was set back behind a write: it stays expired", registers: one(at(0, 0, ending)), writes: []Write{{2, 4, 200, true}}, reads: []Read{expired(20, 21, ending)}, settings: []Setting{{To: 200}, {5, 10, 50}}},
		{name: "the clock was set back behind a write under way", registers: one(at(0, 0, ending)), writes: []Write{{2, 30, 200, true}}, reads: []Read{read(20, 21, ending), expired(20, 21, ending)}, settings: []Setting{{To: 50}}},
		{name: "the clock was set back behind a write that failed", registers: one(at(0, 0, ending)), writes: []Write{{2, 4, 200, false}}, reads: []Read{read(20, 21, ending), expired(20, 21, ending)}, settings: []Setting{{To: 50}}},
		{name: "whether it has expired plays no part where it is disabled", registers: one(at(0, 0, State{Standing: keys.Disabled, Expires: 100})), reads: []Read{read(1, 2, State{Standing: keys.Disabled, Expires: 100})}, settings: []Setting{{To: 200}}},

		{name: "live before the change", registers: revoked, looks: []Look{look(1, 2, 3)}},
		{name: "live during the change", registers: revoked, looks: []Look{look(1, 12, 13), look(11, 19, 30)}},
		{name: "live after the change", registers: revoked, looks: []Look{look(1, 21, 22)}, faults: 1},
		{name: "admitted during the change and live after", registers: revoked, looks: []Look{look(15, 21, 22)}, faults: 1},
		{name: "live through a change that permits it", registers: one(first, at(10, 20, State{Standing: keys.Active, Permits: 3})), looks: []Look{look(1, 21, 22)}},
		{name: "live through a change and back", registers: one(first, at(10, 20, disabled), at(30, 40, good)), looks: []Look{look(1, 50, 60)}, faults: 1},
		{name: "admitted after a change and back", registers: one(first, at(10, 20, disabled), at(30, 40, good)), looks: []Look{look(41, 50, 60)}},
		{name: "its scope was taken away", registers: one(first, at(10, 20, narrowed)), looks: []Look{look(1, 21, 22)}, faults: 1},
		{name: "it was made to expire", registers: one(first, at(150, 160, ending)), looks: []Look{look(1, 170, 180)}, faults: 1},
		{name: "a change that failed without effect", registers: one(first, void(failed(10, 20, none))), looks: []Look{look(1, 30, 31)}},
		{name: "a change that failed and took effect", registers: one(first, failed(10, 20, none)), looks: []Look{look(1, 30, 31)}, faults: 1},
		{name: "a collaborator", registers: [][]Version{{first}, {first, at(10, 20, none)}, {at(0, 0, none), at(5, 6, good)}}, looks: []Look{collaborating(7, 30, 31)}},
		{name: "no longer a collaborator", registers: [][]Version{{first}, {first, at(10, 20, none)}, {at(0, 0, none)}}, looks: []Look{collaborating(7, 30, 31)}, faults: 1},
		{name: "a collaborator, the credential revoked", registers: [][]Version{{first, at(10, 20, none)}, {first}, {first}}, looks: []Look{collaborating(7, 30, 31)}, faults: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settings := tt.settings
			if settings == nil {
				settings = []Setting{{}}
			}
			faults := Check(&History{Registers: tt.registers, Reads: tt.reads, Looks: tt.looks, Writes: tt.writes, Settings: settings})
			if len(faults) != tt.faults {
				t.Errorf("%d faults, want %d: %q", len(faults), tt.faults, faults)
			}
		})
	}
}

package records

import (
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// However much is wrong, the findings have an end, and damage is among them.
func TestExamineIsBounded(t *testing.T) {
	s := newSlow(t)
	for i := range 3 * maxFindings {
		c := keys.Credential{Digest: credential.DigestOf(fmt.Sprint("text ", i)), ID: fmt.Sprint("cap_", i), Kind: policy.PAT, UserID: "u"}
		if err := credentials.put(s, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(usages.bucket, []byte("x"), []byte("not a record")); err != nil {
		t.Fatal(err)
	}
	found, err := Examine(t.Context(), s)
	if err != nil || len(found.Findings) != maxFindings || found.More != 2*maxFindings+1 || found.Damage() == nil {
		t.Errorf("%d findings and %d more, damage %v, %v", len(found.Findings), found.More, found.Damage(), err)
	}
}

// The oldest mark goes where there are too many.
func TestMarksAreBounded(t *testing.T) {
	s := newSlow(t)
	for range maxMarks + 3 {
		if _, err := AddMark(s); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for m, err := range marks.all(s, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 && m.seq != 4 {
			t.Errorf("the oldest is %d", m.seq)
		}
	}
	if n != maxMarks {
		t.Errorf("there are %d", n)
	}
}

package keystest

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// A record of each kind with every field set, for the tests of engines. Tests
// must not change them.
var (
	SomeUser = keys.User{
		ID: "u", Name: "Some User", Email: "u@example.com", Suspended: true, Operator: true, CreatedAt: SomeTime, ModifiedAt: SomeTime, Version: 2,
		TwoFactor: signin.TwoFactor{Secret: "BASE32", Enabled: true, LastStep: 7, RecoveryCodes: []credential.Digest{credential.DigestOf("code")}},
	}
	SomeApp = keys.App{AppRef: keys.AppRef{OwnerID: "u", AppID: "a"}, Name: "An App", CreatedAt: SomeTime, ModifiedAt: SomeTime}
	SomeKey = keys.Credential{
		Digest: credential.DigestOf("some key"), ID: "cak_1", Kind: policy.AppKey, UserID: "u", AppID: "a", Description: "a key",
		Scopes: []string{"Inputs:Get", "Models:Get"}, Endpoints: []string{"/p.S/M"}, Disabled: true,
		CreatedAt: SomeTime, ModifiedAt: SomeTime, CreatedBy: keys.Operator, ExpiresAt: SomeTime.Add(time.Hour),
		Plan: "free", Limits: policy.Limits{Concurrent: 3}, Addresses: policy.Addresses{}, Resources: policy.Values{"model": {"a", "b"}},
	}
	SomeCollaborator = keys.Collaborator{
		CollaboratorRef: keys.CollaboratorRef{AppRef: SomeApp.AppRef, UserID: "v"},
		Scopes:          []string{"Inputs:Get"}, Endpoints: []string{"/p.S/M"}, CreatedAt: SomeTime, ModifiedAt: SomeTime,
	}
	SomeTombstone = keys.Tombstone{Digest: credential.DigestOf("gone"), ID: "cak_0", At: SomeTime, Reason: "leaked"}
	SomeUsage     = keys.Usage{At: SomeTime, Address: "192.0.2.1"}
	SomeActivity  = keys.Activity{
		{Date: keys.DateOf(SomeTime) - 1, Allowed: 7, Refused: map[keys.Cause]uint64{{Reason: "scopes", Scopes: "Inputs:Get Models:Get"}: 300, {Reason: "owner"}: 1}},
		{Date: keys.DateOf(SomeTime), Refused: map[keys.Cause]uint64{{Reason: "scopes", Endpoints: "/p.S/M"}: 2}},
	}
	SomeAuditEntry = keys.AuditEntry{
		Seq: 1, At: SomeTime, ActorID: keys.Operator, Action: keys.ActionKeyRevoke, Subject: keys.Subject{UserID: "u", KeyID: "cak_1"},
		Before: []byte(`{"disabled":false}`), After: []byte(`{}`), Hash: credential.DigestOf("hash"),
	}
	// SomeTime is the time of all of them.
	SomeTime = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
)

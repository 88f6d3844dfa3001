package records

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

var (
	someUser = keys.User{
		ID: "u", Name: "Some User", Email: "u@example.com", Suspended: true, CreatedAt: someTime, ModifiedAt: someTime, Version: 2,
		TwoFactor: keys.TwoFactor{Secret: "BASE32", Enabled: true, LastStep: 7, RecoveryCodes: []keys.Digest{keys.DigestOf("code")}},
	}
	someApp = keys.App{AppRef: keys.AppRef{OwnerID: "u", AppID: "a"}, Name: "An App", CreatedAt: someTime, ModifiedAt: someTime}
	someKey = keys.Credential{
		Digest: keys.DigestOf("some key"), ID: "cak_1", Kind: policy.AppKey, UserID: "u", AppID: "a", Description: "a key",
		Scopes: []string{"Inputs:Get", "Models:Get"}, Endpoints: []string{"/p.S/M"}, Disabled: true,
		CreatedAt: someTime, ModifiedAt: someTime, CreatedBy: keys.Operator, ExpiresAt: someTime.Add(time.Hour),
	}
	someCollaborator = keys.Collaborator{
		CollaboratorRef: keys.CollaboratorRef{AppRef: someApp.AppRef, UserID: "v"},
		Scopes:          []string{"Inputs:Get"}, Endpoints: []string{"/p.S/M"}, CreatedAt: someTime, ModifiedAt: someTime,
	}
	someTombstone = keys.Tombstone{Digest: keys.DigestOf("gone"), ID: "cak_0", At: someTime, Reason: "leaked"}
	someUsage     = usage{keys.Usage{At: someTime, Address: "192.0.2.1"}, keys.DigestOf("some key")}

	someAuditEntry = keys.AuditEntry{
		Seq: 1, At: someTime, ActorID: keys.Operator, Action: keys.ActionKeyRevoke, Subject: keys.Subject{UserID: "u", KeyID: "cak_1"},
		Before: []byte(`{"disabled":false}`), After: []byte(`{}`), Hash: keys.DigestOf("hash"),
	}
	someTime = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
)

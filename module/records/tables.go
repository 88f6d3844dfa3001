package records

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The buckets that belong to no table or index.
var (
	metaBucket    = []byte("meta")
	retiredBucket = []byte("retired_users") // by user ID
	countsBucket  = []byte("counts")        // how many records of a kind a user has
)

// The keys of the meta bucket.
var (
	formatKey    = []byte("format")
	lastWriteKey = []byte("last_write")
	auditHeadKey = []byte("audit_head")
)

// buckets are all that a store of the current format has.
var buckets = append(slices.Clone(secondBuckets), sequencesBucket)

// secondBuckets are all that a store of format 2 has.
var secondBuckets = append(slices.Clone(firstBuckets),
	countsBucket, deletions.bucket, marks.bucket,
	sessionsOfUser.bucket, credentialsOfCreator.bucket, collaboratorsOfCreator.bucket, tombstonesOfCreator.bucket,
)

// firstBuckets are all that a store of format 1 has.
var firstBuckets = [][]byte{
	metaBucket, retiredBucket,
	users.bucket, userOrder.bucket, userEmails.bucket,
	apps.bucket, appOrder.bucket,
	credentials.bucket, credentialIDs.bucket, credentialsOfUser.bucket, credentialsOfApp.bucket,
	collaborators.bucket, collaboratorsOfApp.bucket, collaborationsOfUser.bucket,
	tombstones.bucket, tombstoneIDs.bucket, usages.bucket,
	audit.bucket, auditOfUser.bucket,
}

var (
	userOrder = index[keys.User]{
		bucket: []byte("users_in_order"),
		key:    func(u keys.User) []byte { return place(nil, u.Seq) },
	}
	userEmails = index[keys.User]{
		bucket: []byte("users_by_email"),
		key: func(u keys.User) []byte {
			if u.Email == "" {
				return nil
			}
			return []byte(keys.EmailKey(u.Email))
		},
	}
	users = table[keys.User, userRecord]{
		name:    "user",
		bucket:  []byte("users"),
		key:     func(u keys.User) []byte { return []byte(u.ID) },
		seq:     func(u *keys.User) *uint64 { return &u.Seq },
		pack:    packUser,
		unpack:  userRecord.unpack,
		indexes: []index[keys.User]{userOrder, userEmails},
	}
)

var (
	appOrder = index[keys.App]{
		bucket: []byte("apps_by_owner"),
		key:    func(a keys.App) []byte { return place(join(a.OwnerID), a.Seq) },
	}
	apps = table[keys.App, appRecord]{
		name:    "app",
		bucket:  []byte("apps"),
		key:     func(a keys.App) []byte { return appKey(a.AppRef) },
		seq:     func(a *keys.App) *uint64 { return &a.Seq },
		pack:    packApp,
		unpack:  appRecord.unpack,
		indexes: []index[keys.App]{appOrder},
		count:   func(a keys.App) []byte { return appCount(a.OwnerID) },
	}
)

// The keys of digests are copies: a slice of a record would keep it on the heap.
var (
	credentialIDs = index[keys.Credential]{
		bucket: []byte("credentials_by_id"),
		key:    func(c keys.Credential) []byte { return []byte(c.ID) },
	}
	credentialsOfUser = index[keys.Credential]{
		bucket: []byte("credentials_by_user"),
		key:    func(c keys.Credential) []byte { return place(join(c.UserID), c.Seq) },
	}
	credentialsOfApp = index[keys.Credential]{
		bucket: []byte("credentials_by_app"),
		key: func(c keys.Credential) []byte {
			if c.AppID == "" {
				return nil
			}
			return place(join(c.UserID, c.AppID), c.Seq)
		},
	}
	sessionsOfUser = index[keys.Credential]{
		bucket: []byte("sessions_by_user"),
		key: func(c keys.Credential) []byte {
			if c.Kind != policy.Session {
				return nil
			}
			return place(join(c.UserID), c.Seq)
		},
	}
	// The indexes by creator have the records that a credential made. Nobody
	// searches for those of the operator and of imports.
	credentialsOfCreator = index[keys.Credential]{
		bucket: []byte("credentials_by_creator"),
		key: func(c keys.Credential) []byte {
			if !keys.IsKeyID(c.CreatedBy) {
				return nil
			}
			return place(join(c.UserID, c.CreatedBy), c.Seq)
		},
	}
	credentials = table[keys.Credential, credentialRecord]{
		name:    "credential",
		bucket:  []byte("credentials"),
		key:     func(c keys.Credential) []byte { return bytes.Clone(c.Digest[:]) },
		seq:     func(c *keys.Credential) *uint64 { return &c.Seq },
		pack:    packCredential,
		unpack:  credentialRecord.unpack,
		indexes: []index[keys.Credential]{credentialIDs, credentialsOfUser, credentialsOfApp, sessionsOfUser, credentialsOfCreator},
		count: func(c keys.Credential) []byte {
			if c.Kind == policy.Session {
				return nil
			}
			return keyCount(c.UserID)
		},
	}
)

var (
	collaboratorsOfApp = index[keys.Collaborator]{
		bucket: []byte("collaborators_by_app"),
		key:    func(c keys.Collaborator) []byte { return place(appKey(c.AppRef), c.Seq) },
	}
	collaborationsOfUser = index[keys.Collaborator]{
		bucket: []byte("collaborators_by_user"),
		key:    func(c keys.Collaborator) []byte { return place(join(c.UserID), c.Seq) },
	}
	collaboratorsOfCreator = index[keys.Collaborator]{
		bucket: []byte("collaborators_by_creator"),
		key: func(c keys.Collaborator) []byte {
			if !keys.IsKeyID(c.CreatedBy) {
				return nil
			}
			return place(join(c.OwnerID, c.CreatedBy), c.Seq)
		},
	}
	collaborators = table[keys.Collaborator, collaboratorRecord]{
		name:    "collaborator",
		bucket:  []byte("collaborators"),
		key:     func(c keys.Collaborator) []byte { return collaboratorKey(c.CollaboratorRef) },
		seq:     func(c *keys.Collaborator) *uint64 { return &c.Seq },
		pack:    packCollaborator,
		unpack:  collaboratorRecord.unpack,
		indexes: []index[keys.Collaborator]{collaboratorsOfApp, collaborationsOfUser, collaboratorsOfCreator},
	}
)

var (
	// The digest follows the ID, because only living credentials are checked for
	// unique IDs.
	tombstoneIDs = index[keys.Tombstone]{
		bucket: []byte("tombstones_by_id"),
		key:    func(t keys.Tombstone) []byte { return append(join(t.ID), t.Digest[:]...) },
	}
	tombstonesOfCreator = index[keys.Tombstone]{
		bucket: []byte("tombstones_by_creator"),
		key: func(t keys.Tombstone) []byte {
			if !keys.IsKeyID(t.CreatedBy) {
				return nil
			}
			return append(join(t.UserID, t.CreatedBy), t.Digest[:]...)
		},
	}
	tombstones = table[keys.Tombstone, tombstoneRecord]{
		name:    "tombstone",
		bucket:  []byte("tombstones"),
		key:     func(t keys.Tombstone) []byte { return bytes.Clone(t.Digest[:]) },
		pack:    packTombstone,
		unpack:  tombstoneRecord.unpack,
		indexes: []index[keys.Tombstone]{tombstoneIDs, tombstonesOfCreator},
	}
)

var deletions = table[keys.Deletion, deletionRecord]{
	name:   "deletion",
	bucket: []byte("deletions"),
	key:    func(d keys.Deletion) []byte { return appKey(d.AppRef) },
	pack:   packDeletion,
	unpack: deletionRecord.unpack,
}

var usages = table[usage, usageRecord]{
	name:   "last use",
	bucket: []byte("last_used"),
	key:    func(u usage) []byte { return bytes.Clone(u.digest[:]) },
	pack:   packUsage,
	unpack: usageRecord.unpack,
}

var (
	auditOfUser = index[keys.AuditEntry]{
		bucket: []byte("audit_by_user"),
		key: func(e keys.AuditEntry) []byte {
			if e.UserID == "" {
				return nil
			}
			return place(join(e.UserID), e.Seq)
		},
	}
	audit = table[keys.AuditEntry, auditRecord]{
		name:    "audit entry",
		bucket:  []byte("audit"),
		key:     func(e keys.AuditEntry) []byte { return place(nil, e.Seq) },
		pack:    packAuditEntry,
		unpack:  auditRecord.unpack,
		indexes: []index[keys.AuditEntry]{auditOfUser},
	}
)

// InOrder reports whether new entries of a bucket come after all others. An
// engine can fill its pages to the end.
func InOrder(bucket []byte) bool {
	return bytes.Equal(bucket, audit.bucket) || bytes.Equal(bucket, userOrder.bucket) || bytes.Equal(bucket, marks.bucket)
}

func appKey(app keys.AppRef) []byte { return join(app.OwnerID, app.AppID) }

func collaboratorKey(c keys.CollaboratorRef) []byte { return join(c.OwnerID, c.AppID, c.UserID) }

// join returns a key of several IDs. NUL, which no ID contains, ends each, so that
// the apps of "a" are not among those of "ab".
func join(ids ...string) []byte { return appendIDs(nil, ids...) }

func appendIDs(key []byte, ids ...string) []byte {
	for _, id := range ids {
		key = append(key, id...)
		key = append(key, 0)
	}
	return key
}

// place returns the key of the seq-th record under prefix. Places sort by seq.
func place(prefix []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(prefix, seq)
}

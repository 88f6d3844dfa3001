package keys

import (
	"encoding/json"
	"reflect"
	"time"
)

// facts are the fields of a record that the audit log shows.
type facts map[string]any

func (f facts) text() ([]byte, error) {
	if f == nil {
		return nil, nil
	}
	return json.Marshal(f)
}

// differing returns the fields in which two records differ.
func differing(before, after facts) (was, is facts) {
	was, is = facts{}, facts{}
	for name, v := range before {
		if w, ok := after[name]; !ok || !reflect.DeepEqual(v, w) {
			was[name] = v
		}
	}
	for name, w := range after {
		if v, ok := before[name]; !ok || !reflect.DeepEqual(v, w) {
			is[name] = w
		}
	}
	return was, is
}

func factsOfUser(u User) facts {
	f := facts{"name": u.Name, "email": u.Email, "suspended": u.Suspended, "two_factor": u.TwoFactor.Enabled}
	if u.Operator {
		f["operator"] = true
	}
	if u.Plan != "" {
		f["plan"] = u.Plan
	}
	if !u.Reset.Until.IsZero() {
		f["reset_link_until"] = u.Reset.Until.UTC().Format(time.RFC3339)
	}
	return f
}

func factsOfApp(a App) facts {
	f := facts{"name": a.Name}
	if a.Plan != "" {
		f["plan"] = a.Plan
	}
	return f
}

func factsOfCredential(c Credential) facts {
	f := facts{}
	for _, field := range CredentialFields {
		if fact := field.Fact(&c); fact != nil {
			f[field.Name] = fact
		}
	}
	return f
}

func factsOfCollaborator(c Collaborator) facts {
	return facts{"scopes": c.Scopes, "endpoints": c.Endpoints, "created_by": c.CreatedBy}
}

// about returns a credential as the subject of a change.
func (c *Credential) about() Subject {
	return Subject{UserID: c.UserID, AppID: c.AppID, KeyID: c.ID}
}

func (c *Collaborator) about() Subject {
	return Subject{UserID: c.OwnerID, AppID: c.AppID, CollaboratorID: c.UserID}
}

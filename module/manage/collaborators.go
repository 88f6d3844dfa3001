package manage

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Collaborator is a collaborator of an app in the API's form.
type Collaborator struct {
	// ID is the user ID, because a user is a collaborator of an app only once.
	ID   string  `json:"id"`
	User UserRef `json:"user"`
	App  KeyApp  `json:"app"`
	// Scopes and Endpoints limit what the collaborator's own credentials grant. An
	// empty Endpoints means all endpoints.
	Scopes     []string  `json:"scopes"`
	Endpoints  []string  `json:"endpoints"`
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
	// CreatedBy is the key ID of the credential that added the collaborator, or
	// empty if it is unknown.
	CreatedBy string `json:"created_by"`
	Version   uint64 `json:"version"` // as a key's
}

// UserRef names a user; * is everyone.
type UserRef struct {
	ID string `json:"id"`
}

// Collaboration is another user's app, as its collaborator sees it.
type Collaboration struct {
	App        App       `json:"app"`
	AppOwner   UserRef   `json:"app_owner"`
	Scopes     []string  `json:"scopes"`
	Endpoints  []string  `json:"endpoints"`
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
}

func showCollaborator(c keys.Collaborator) Collaborator {
	return Collaborator{
		ID: c.UserID, User: UserRef{c.UserID}, App: KeyApp{ID: c.AppID, UserID: c.OwnerID},
		Scopes: append([]string{}, c.Scopes...), Endpoints: append([]string{}, c.Endpoints...),
		CreatedAt: c.CreatedAt.UTC(), ModifiedAt: c.ModifiedAt.UTC(), CreatedBy: c.CreatedBy, Version: c.Version,
	}
}

func (r *request) listCollaborators(from keys.Reader, p page) (*Answer, error) {
	if _, err := r.findApp(from); err != nil {
		return nil, err
	}
	found, next, err := take(from.Collaborators(r.app(), p.after), p, seqOfCollaborator, everyOne)
	return &Answer{Collaborators: show(found, showCollaborator), Next: next}, err
}

func seqOfCollaborator(c keys.Collaborator) uint64 { return c.Seq }

// listCollaborations lists the apps of which a user is a collaborator. It leaves
// out apps that everyone may use.
func (r *request) listCollaborations(from keys.Reader, p page) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	found, next, err := take(from.Collaborations(r.user(), p.after), p, seqOfCollaborator, everyOne)
	if err != nil {
		return nil, err
	}
	answer := &Answer{Collaborations: []Collaboration{}, Next: next}
	for _, c := range found {
		a, err := from.App(c.AppRef)
		if errors.Is(err, keys.ErrNotFound) {
			if _, gone := from.Deletion(c.AppRef); gone == nil {
				continue // the collaborator is about to be removed, too
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the app of a collaborator: %w", errors.Join(keys.ErrCorrupt, err))
		}
		shown := showCollaborator(c)
		answer.Collaborations = append(answer.Collaborations, Collaboration{
			App: showApp(a), AppOwner: UserRef{c.OwnerID}, Scopes: shown.Scopes, Endpoints: shown.Endpoints,
			CreatedAt: shown.CreatedAt, ModifiedAt: shown.ModifiedAt,
		})
	}
	return answer, nil
}

// findCollaborator reads a collaborator of the app of the path. field is the field
// that names the user.
func (r *request) findCollaborator(from keys.Reader, ref keys.CollaboratorRef, field string) (keys.Collaborator, error) {
	if _, err := r.findApp(from); err != nil {
		return keys.Collaborator{}, err
	}
	c, err := from.Collaborator(ref)
	if errors.Is(err, keys.ErrNotFound) {
		return c, refuse(CodeNotFound, field, "this user is not a collaborator of the app")
	}
	return c, err
}

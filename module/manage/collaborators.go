package manage

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Collaborator is an invitation to an app as the API shows one.
type Collaborator struct {
	// ID is the user's id too: an app has no two invitations of one user.
	ID   string  `json:"id"`
	User UserRef `json:"user"`
	App  KeyApp  `json:"app"`
	// Scopes and Endpoints limit what the collaborator's own credentials
	// grant. Endpoints empty is no list: all endpoints.
	Scopes     []string  `json:"scopes"`
	Endpoints  []string  `json:"endpoints"`
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
	// CreatedBy is the key ID of the credential that added the collaborator;
	// empty where that is not known.
	CreatedBy string `json:"created_by"`
	Version   uint64 `json:"version"` // as a key's
}

// UserRef names a user; * is everyone.
type UserRef struct {
	ID string `json:"id"`
}

// Collaboration is an invitation as the one who is invited sees it.
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

func (r *request) listCollaborators() (*Answer, error) {
	p, err := r.listing()
	if err != nil {
		return nil, err
	}
	var found []keys.Collaborator
	var next string
	err = r.view(func(from keys.Reader) (err error) {
		if _, err := r.findApp(from); err != nil {
			return err
		}
		found, next, err = take(from.Collaborators(r.app(), p.after), p, seqOfCollaborator, everyOne)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Collaborators: show(found, showCollaborator), Next: next}, nil
}

func seqOfCollaborator(c keys.Collaborator) uint64 { return c.Seq }

// listCollaborations answers the invitations of a user. Apps that everyone is
// invited to are not among them.
func (r *request) listCollaborations() (*Answer, error) {
	p, err := r.listing()
	if err != nil {
		return nil, err
	}
	answer := &Answer{Collaborations: []Collaboration{}}
	err = r.view(func(from keys.Reader) error {
		if _, err := r.findUser(from); err != nil {
			return err
		}
		found, next, err := take(from.Collaborations(r.user(), p.after), p, seqOfCollaborator, everyOne)
		if err != nil {
			return err
		}
		for _, c := range found {
			a, err := from.App(c.AppRef)
			if errors.Is(err, keys.ErrNotFound) {
				if _, gone := from.Deletion(c.AppRef); gone == nil {
					continue // the collaborator is about to go, too
				}
			}
			if err != nil {
				return fmt.Errorf("the app of an invitation: %w", errors.Join(keys.ErrCorrupt, err))
			}
			shown := showCollaborator(c)
			answer.Collaborations = append(answer.Collaborations, Collaboration{
				App: showApp(a), AppOwner: UserRef{c.OwnerID}, Scopes: shown.Scopes, Endpoints: shown.Endpoints,
				CreatedAt: shown.CreatedAt, ModifiedAt: shown.ModifiedAt,
			})
		}
		answer.Next = next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// invited is whom an element of a request names.
type invited struct {
	userID string
	field  string // where the id stands
	app    *appRef
}

// readInvited reads the user, who may be named as Clarifai does, by the user
// or by the collaborator's id, or as user_id. Who says it twice has to say the
// same.
func readInvited(o *object) invited {
	var v invited
	take := func(in *object, name string) {
		var id string
		if !in.text(name, &id) {
			return
		}
		if v.field != "" && id != v.userID {
			o.fail(refuse(CodeInvalid, in.field(name), "it is not the user that is named beside it"))
		}
		v.userID, v.field = id, in.field(name)
	}
	take(o, "id")
	take(o, "user_id")
	if in := o.inner("user"); in != nil {
		take(in, "id")
		if err := in.end(); err != nil {
			o.fail(err)
		}
	}
	if in := o.inner("app"); in != nil {
		a, err := readAppRef(in)
		if err != nil {
			o.fail(err)
		}
		v.app = &a
	}
	if v.userID == "" {
		o.fail(refuse(CodeInvalid, o.field("user"), `it is missing; name the user, as {"id":"…"}, where * is everyone`))
	}
	return v
}

// invitation is the one that an element is about, on the app of the path.
func (r *request) invitation(v invited) (keys.CollaboratorRef, error) {
	ref := keys.CollaboratorRef{AppRef: r.app(), UserID: v.userID}
	if v.app == nil {
		return ref, nil
	}
	if err := r.ownedBy(v.app.userID, v.app.path); err != nil {
		return ref, err
	}
	if v.app.id != "" && v.app.id != r.app().AppID {
		return ref, refuse(CodeInvalid, join(v.app.path, "id"), "it is not the app of the path")
	}
	return ref, nil
}

// newCollaborator is what a request says of an invitation to be made.
type newCollaborator struct {
	path string
	invited
	scopes, endpoints []string
}

func readNewCollaborator(o *object) (newCollaborator, error) {
	c := newCollaborator{path: o.path, invited: readInvited(o)}
	null := isNull(o.fields["scopes"])
	if !o.texts("scopes", &c.scopes) || null {
		o.fail(refuse(CodeInvalid, o.field("scopes"), "it is missing; name those that the collaborator is to have, or [] for one who may only use routes without scopes"))
	}
	o.texts("endpoints", &c.endpoints)
	return c, o.err
}

// addCollaborators invites users to an app.
func (r *request) addCollaborators() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "collaborators", readNewCollaborator)
	if err == nil {
		err = o.end()
	}
	if err != nil {
		return nil, err
	}
	var made []keys.Collaborator
	err = r.update(func(tx *keys.Tx) error {
		made = nil
		if _, err := r.findApp(tx); err != nil {
			return err
		}
		for _, n := range list {
			c, err := r.invite(tx, n)
			if err != nil {
				return locate(n.path, err)
			}
			made = append(made, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Collaborators: show(made, showCollaborator)}, nil
}

func (r *request) invite(tx *keys.Tx, n newCollaborator) (c keys.Collaborator, err error) {
	c.Scopes, c.Endpoints = n.scopes, n.endpoints
	if c.CollaboratorRef, err = r.invitation(n.invited); err != nil {
		return c, err
	}
	if c.UserID == r.user() || c.UserID == policy.Me && !r.caller.Operator {
		return c, refuse(CodeInvalid, n.field, "the app is this user's own; invite others")
	}
	switch _, err := tx.Collaborator(c.CollaboratorRef); {
	case err == nil:
		return c, refuse(CodeExists, n.field, "this user is invited already; change the invitation by a PATCH, or remove it first")
	case !errors.Is(err, keys.ErrNotFound):
		return c, err
	}
	field := join(n.path, "scopes")
	if err := r.api.checkGrantable(field, c.Scopes, nil); err != nil {
		return c, err
	}
	if err := r.api.checkComplete(field, c.Scopes); err != nil {
		return c, err
	}
	if err := r.api.checkEndpoints(join(n.path, "endpoints"), c.Endpoints, nil); err != nil {
		return c, err
	}
	if err := r.invitable(n.path, &c); err != nil {
		return c, err
	}
	if err := r.knownCollaborator(tx, c.UserID, n.field); err != nil {
		return c, err
	}
	return tx.Invite(c)
}

// knownCollaborator refuses what can't be a user's ID, and to the operator IDs
// that no user has. An owner isn't told of those, because that would tell which
// users exist; a collaborator who doesn't exist is of no effect.
func (r *request) knownCollaborator(tx *keys.Tx, userID, field string) error {
	if userID == keys.Everyone {
		return nil
	}
	if keys.CheckID(field, userID) != nil {
		return refuse(CodeInvalid, field, "it is not a user ID: use letters, digits, - and _, or * for everyone")
	}
	if !r.caller.Operator {
		return nil
	}
	_, err := tx.User(userID)
	if errors.Is(err, keys.ErrNotFound) {
		return refuse(CodeNotFound, field, "there is no such user; * is everyone")
	}
	return err
}

// collaboratorChange is what a PATCH says of an invitation.
type collaboratorChange struct {
	grantChange
	invited
	version *uint64
}

func readCollaboratorChange(o *object) (collaboratorChange, error) {
	c := collaboratorChange{invited: readInvited(o), grantChange: readGrantChange(o, "invitation")}
	c.version = given(o.number, "version")
	return c, o.err
}

func (r *request) changeCollaborators() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "collaborators", readCollaboratorChange)
	if err != nil {
		return nil, err
	}
	act, err := o.action()
	if err != nil {
		return nil, err
	}
	takesAway, err := r.narrowsCollaborators(list, act)
	if err != nil {
		return nil, err
	}
	var changed []keys.Collaborator
	err = r.changeBy(takesAway, func(tx *keys.Tx) error {
		changed = nil
		var once onceEach
		for _, n := range list {
			if err := once.add(n.field, n.userID); err != nil {
				return err
			}
			c, err := r.changeInvitation(tx, n, act)
			if err != nil {
				return locate(n.path, err)
			}
			changed = append(changed, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Collaborators: show(changed, showCollaborator)}, nil
}

func (r *request) changeInvitation(tx *keys.Tx, n collaboratorChange, act action) (keys.Collaborator, error) {
	ref, err := r.invitation(n.invited)
	if err != nil {
		return keys.Collaborator{}, err
	}
	c, err := r.findCollaborator(tx, ref, n.field)
	if err != nil {
		return c, err
	}
	c.Scopes, c.Endpoints = slices.Clone(c.Scopes), slices.Clone(c.Endpoints)
	if err := sameVersion(n.path, n.version, c.Version); err != nil {
		return c, err
	}
	if err := r.api.changeGrant(&c.Scopes, &c.Endpoints, n.grantChange, act); err != nil {
		return c, err
	}
	if err := r.invitable(n.path, &c); err != nil {
		return c, err
	}
	return tx.Invite(c)
}

// findCollaborator reads an invitation to the app of the path. field is where
// its user is named.
func (r *request) findCollaborator(from keys.Reader, ref keys.CollaboratorRef, field string) (keys.Collaborator, error) {
	if _, err := r.findApp(from); err != nil {
		return keys.Collaborator{}, err
	}
	c, err := from.Collaborator(ref)
	if errors.Is(err, keys.ErrNotFound) {
		return c, refuse(CodeNotFound, field, "this user is no collaborator of the app")
	}
	return c, err
}

// removeCollaborators takes invitations back. They are named by the ids of
// their users.
func (r *request) removeCollaborators() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	name := "collaborator_ids" // Clarifai's
	if _, short := o.fields["ids"]; short {
		name = "ids"
	}
	ids, err := o.ids(name)
	if err != nil {
		return nil, err
	}
	err = r.withdraw(func(tx *keys.Tx) error {
		var once onceEach
		for i, id := range ids {
			field := fmt.Sprintf("%s[%d]", name, i)
			if err := once.add(field, id); err != nil {
				return err
			}
			c, err := r.findCollaborator(tx, keys.CollaboratorRef{AppRef: r.app(), UserID: id}, field)
			if err != nil {
				return err
			}
			if err := tx.Uninvite(c.CollaboratorRef); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{}, nil
}

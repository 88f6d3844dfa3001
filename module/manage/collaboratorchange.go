package manage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// namedUser is the user that an element of a request names.
type namedUser struct {
	userID string
	field  string // the field with the ID
	app    *appRef
}

// readNamedUser reads the user of an element. Clarifai's fields user and id may
// name the user, or user_id. If several do, they have to agree.
func readNamedUser(o *object) namedUser {
	var v namedUser
	take := func(in *object, name string) {
		var id string
		if !in.text(name, &id) {
			return
		}
		if v.field != "" && id != v.userID {
			o.fail(refuse(CodeInvalid, in.field(name), "it differs from another field that names the user"))
		}
		v.userID, v.field = id, in.field(name)
	}
	take(o, "id")
	take(o, "user_id")
	if in := o.inner("user"); in != nil {
		take(in, "id")
		o.endOf(in)
	}
	if in := o.inner("app"); in != nil {
		v.app = new(readAppRef(in))
		o.endOf(in)
	}
	if v.userID == "" {
		o.fail(refuse(CodeInvalid, o.field("user"), `it is missing; name the user, such as {"id":"…"}, where * is everyone`))
	}
	return v
}

// collaboratorRef names the collaborator of an element, on the app of the path.
func (r *request) collaboratorRef(v namedUser) (keys.CollaboratorRef, error) {
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

// newCollaborator is a collaborator that a request adds.
type newCollaborator struct {
	path string
	namedUser
	scopes, endpoints []string
}

func readNewCollaborator(o *object) newCollaborator {
	c := newCollaborator{path: o.path, namedUser: readNamedUser(o)}
	null := isNull(o.fields["scopes"])
	if !o.texts("scopes", &c.scopes) || null {
		o.fail(refuse(CodeInvalid, o.field("scopes"), "it is missing; list the collaborator's scopes, or [] for routes without scopes only"))
	}
	o.texts("endpoints", &c.endpoints)
	return c
}

// addCollaborators adds collaborators to an app.
func (r *request) addCollaborators(tx *keys.Tx, list []newCollaborator) (*Answer, error) {
	if _, err := r.findApp(tx); err != nil {
		return nil, err
	}
	answer := &Answer{}
	for _, n := range list {
		c, err := r.addCollaborator(tx, n)
		if err != nil {
			return nil, locate(n.path, err)
		}
		answer.Collaborators = append(answer.Collaborators, showCollaborator(c))
	}
	return answer, nil
}

func (r *request) addCollaborator(tx *keys.Tx, n newCollaborator) (c keys.Collaborator, err error) {
	c.Scopes, c.Endpoints = n.scopes, n.endpoints
	if c.CollaboratorRef, err = r.collaboratorRef(n.namedUser); err != nil {
		return c, err
	}
	if c.UserID == r.user() || c.UserID == policy.Me && !r.caller.Operator {
		return c, refuse(CodeInvalid, n.field, "this user owns the app; add other users as collaborators")
	}
	switch _, err := tx.Collaborator(c.CollaboratorRef); {
	case err == nil:
		return c, refuse(CodeExists, n.field, "this user is a collaborator already; change the scopes and endpoints with a PATCH, or remove the collaborator first")
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
	if err := r.delegableTo(n.path, &c); err != nil {
		return c, err
	}
	if err := r.knownCollaborator(tx, c.UserID, n.field); err != nil {
		return c, err
	}
	return tx.AddCollaborator(c)
}

// knownCollaborator refuses texts that can't be a user ID. For the operator it also
// refuses unknown IDs. For an owner it doesn't, because that would reveal which
// users exist; a collaborator who doesn't exist has no effect.
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

// collaboratorChange is the change of one collaborator in a PATCH.
type collaboratorChange struct {
	grantChange
	namedUser
	version *uint64
}

func readCollaboratorChange(o *object) collaboratorChange {
	c := collaboratorChange{namedUser: readNamedUser(o), grantChange: readGrantChange(o, "collaborator")}
	c.version = given(o.number, "version")
	return c
}

// collaboratorChanges are the changes of one PATCH.
type collaboratorChanges struct {
	list   []collaboratorChange
	action action
}

func readCollaboratorChanges(o *object) collaboratorChanges {
	return collaboratorChanges{elements(o, "collaborators", readCollaboratorChange), o.action()}
}

func (r *request) changeCollaborators(tx *keys.Tx, in collaboratorChanges) (*Answer, error) {
	answer := &Answer{}
	var once onceEach
	for _, n := range in.list {
		if err := once.add(n.field, n.userID); err != nil {
			return nil, err
		}
		c, err := r.changeCollaborator(tx, n, in.action)
		if err != nil {
			return nil, locate(n.path, err)
		}
		answer.Collaborators = append(answer.Collaborators, showCollaborator(c))
	}
	return answer, nil
}

func (r *request) changeCollaborator(tx *keys.Tx, n collaboratorChange, act action) (keys.Collaborator, error) {
	ref, err := r.collaboratorRef(n.namedUser)
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
	if err := r.delegableTo(n.path, &c); err != nil {
		return c, err
	}
	return tx.AddCollaborator(c)
}

// collaboratorIDs name the collaborators to remove, by the IDs of their users.
type collaboratorIDs struct {
	field string // the field with the list
	list  []string
}

func readCollaboratorIDs(o *object) collaboratorIDs {
	in := collaboratorIDs{field: "collaborator_ids"} // Clarifai's
	if _, short := o.fields["ids"]; short {
		in.field = "ids"
	}
	in.list = o.ids(in.field)
	return in
}

func (r *request) removeCollaborators(tx *keys.Tx, in collaboratorIDs) (*Answer, error) {
	var once onceEach
	for i, id := range in.list {
		field := fmt.Sprintf("%s[%d]", in.field, i)
		if err := once.add(field, id); err != nil {
			return nil, err
		}
		c, err := r.findCollaborator(tx, keys.CollaboratorRef{AppRef: r.app(), UserID: id}, field)
		if err != nil {
			return nil, err
		}
		if err := tx.RemoveCollaborator(c.CollaboratorRef); err != nil {
			return nil, err
		}
	}
	return &Answer{}, nil
}

package manage

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// readLeave reads the apps that a user leaves, each named by its ID and its owner.
func readLeave(o *object) []appRef {
	return elements(o, "apps", func(o *object) appRef {
		a := readAppRef(o)
		if a.id == "" || a.userID == nil {
			o.fail(refuse(CodeInvalid, a.path, `name the app by its ID and its owner, such as {"id":"shop","user_id":"ada"}`))
		}
		return a
	})
}

// leaveApps removes the user of the path from the collaborators of apps. An app
// that the user doesn't collaborate on looks like one that doesn't exist.
func (r *request) leaveApps(tx *keys.Tx, list []appRef) (*Answer, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	var once onceEach
	for _, a := range list {
		ref := keys.AppRef{OwnerID: *a.userID, AppID: a.id}
		if err := once.add(a.path, ref.OwnerID+"\x00"+ref.AppID); err != nil {
			return nil, err
		}
		if keys.CheckID(a.path, ref.OwnerID) != nil || keys.CheckID(a.path, ref.AppID) != nil {
			return nil, notShared(a.path)
		}
		err := tx.RemoveCollaborator(keys.CollaboratorRef{AppRef: ref, UserID: r.user()})
		if errors.Is(err, keys.ErrNotFound) {
			return nil, notShared(a.path)
		}
		if err != nil {
			return nil, err
		}
	}
	return &Answer{}, nil
}

func notShared(field string) error {
	return refuse(CodeNotFound, field, "the user is not a collaborator of such an app")
}

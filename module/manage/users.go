package manage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// User is a user in the API's form.
type User struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Email      string    `json:"email"`
	Suspended  bool      `json:"suspended"`
	Operator   bool      `json:"operator,omitempty"` // has the operator's pages of the portal
	Plan       string    `json:"plan,omitempty"`     // limits all credentials of the user together
	TwoFactor  bool      `json:"two_factor"`         // a second factor is required
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
	Version    uint64    `json:"version"` // as a key's
}

func showUser(u keys.User) User {
	return User{
		ID: u.ID, Name: u.Name, Email: u.Email, Suspended: u.Suspended, Operator: u.Operator, Plan: u.Plan,
		TwoFactor: u.TwoFactor.Enabled,
		CreatedAt: u.CreatedAt.UTC(), ModifiedAt: u.ModifiedAt.UTC(), Version: u.Version,
	}
}

// show returns a list of records in the API's form. It is never nil, because an
// empty list is an answer.
func show[T, V any](list []T, one func(T) V) []V {
	shown := make([]V, 0, len(list))
	for _, v := range list {
		shown = append(shown, one(v))
	}
	return shown
}

// newID generates the ID of a user or an app.
func newID() string { return strings.ToLower(rand.Text()) }

// findUser reads the user of the path.
func (r *request) findUser(from keys.Reader) (keys.User, error) {
	u, err := from.User(r.user())
	if errors.Is(err, keys.ErrNotFound) {
		return u, refuse(CodeNotFound, "user_id", "there is no such user")
	}
	return u, err
}

func (r *request) getUser(from keys.Reader) (*Answer, error) {
	u, err := r.findUser(from)
	return &Answer{User: new(showUser(u))}, err
}

func (r *request) listUsers(from keys.Reader, p page) (*Answer, error) {
	found, next, err := take(from.Users(p.after), p, func(u keys.User) uint64 { return u.Seq }, everyOne)
	return &Answer{Users: show(found, showUser), Next: next}, err
}

// userFields are the fields of a user that a request sets. A nil field stays
// unchanged.
type userFields struct {
	path, id    string
	name, email *string
	suspended   *bool
	operator    *bool
	plan        *string
	version     *uint64
	password    *string
	// noPassword removes the password.
	noPassword   bool
	passwordHash string
}

func readUser(o *object) userFields {
	f := userFields{path: o.path}
	o.text("id", &f.id)
	f.name = given(o.text, "name")
	f.email = given(o.text, "email")
	f.noPassword = isNull(o.fields["password"])
	f.password = given(o.text, "password")
	f.suspended = given(o.flag, "suspended")
	f.operator = given(o.flag, "operator")
	f.plan = given(o.text, "plan")
	f.version = given(o.number, "version")
	return f
}

// readUserChanges reads the changes of users, each named by its ID.
func readUserChanges(o *object) []userFields {
	list := elements(o, "users", func(o *object) userFields {
		f := readUser(o)
		if f.id == "" {
			o.fail(refuse(CodeInvalid, o.field("id"), "it is missing; name the user to change"))
		}
		return f
	})
	o.action()
	return list
}

// readUserChange reads the change of the user of the path.
func readUserChange(o *object) []userFields {
	return []userFields{readOne(o, "user", readUser)}
}

// checkUserChange refuses an ID that differs from the path.
func (r *request) checkUserChange(list *[]userFields) error {
	f := &(*list)[0]
	if f.id != "" && f.id != r.user() {
		return refuse(CodeInvalid, join(f.path, "id"), "it is not the ID in the path, and an ID never changes")
	}
	f.id = r.user()
	return nil
}

// hashPasswords hashes passwords before the transaction that stores them, because
// other changes wait for the transaction.
func (r *request) hashPasswords(list *[]userFields) error {
	for i := range *list {
		f := &(*list)[i]
		if f.password == nil || f.noPassword {
			continue
		}
		about, err := r.about(f)
		if err != nil {
			return err
		}
		if f.passwordHash, err = signin.HashPassword(r.Context(), *f.password, about...); err != nil {
			return locate(f.path, err)
		}
	}
	return nil
}

// changedOnce refuses two changes of one user.
func (r *request) changedOnce(list *[]userFields) error {
	var once onceEach
	for _, f := range *list {
		if err := once.add(join(f.path, "id"), f.id); err != nil {
			return err
		}
	}
	return nil
}

// about returns what others know of a user, which makes a bad password.
func (r *request) about(f *userFields) ([]string, error) {
	var u keys.User
	err := r.view(func(from keys.Reader) (err error) {
		u, err = from.User(f.id)
		return err
	})
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return nil, err
	}
	u.ID = f.id
	f.apply(&u)
	return r.knownOf(&u), nil
}

// knownOf returns what others know of a user, and the site's own names.
func (r *request) knownOf(u *keys.User) []string {
	return []string{u.ID, u.Email, u.Name, r.api.Name, r.host(), r.issuer()}
}

func (f *userFields) apply(u *keys.User) {
	set(&u.Name, f.name)
	set(&u.Email, f.email)
	set(&u.Suspended, f.suspended)
	set(&u.Operator, f.operator)
	set(&u.Plan, f.plan)
	if f.password != nil {
		u.PasswordHash = f.passwordHash
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (r *request) createUsers(tx *keys.Tx, list []userFields) (*Answer, error) {
	answer := &Answer{}
	for _, f := range list {
		u := keys.User{ID: f.id}
		if u.ID == "" {
			u.ID = newID()
		}
		if err := r.givenPlan(f.path, f.plan, ""); err != nil {
			return nil, err
		}
		f.apply(&u)
		u, err := tx.CreateUser(u)
		if err != nil {
			return nil, locate(f.path, err)
		}
		answer.Users = append(answer.Users, showUser(u))
	}
	return answer, nil
}

func (r *request) changeUsers(tx *keys.Tx, list []userFields) (*Answer, error) {
	answer := &Answer{}
	for _, f := range list {
		u, err := tx.ChangeUser(f.id, func(u *keys.User) error {
			if err := r.givenPlan(f.path, f.plan, u.Plan); err != nil {
				return err
			}
			f.apply(u)
			return sameVersion(f.path, f.version, u.Version)
		})
		if errors.Is(err, keys.ErrNotFound) {
			return nil, refuse(CodeNotFound, join(f.path, "id"), "there is no such user")
		}
		if err != nil {
			return nil, locate(f.path, err)
		}
		answer.Users = append(answer.Users, showUser(u))
	}
	return answer, nil
}

// changeUser is changeUsers for the user of the path.
func (r *request) changeUser(tx *keys.Tx, list []userFields) (*Answer, error) {
	changed, err := r.changeUsers(tx, list)
	if err != nil {
		return nil, err
	}
	return &Answer{User: &changed.Users[0]}, nil
}

// suspends reports whether a change of users suspends one or ends its sessions.
func suspends(_ *request, list []userFields) (bool, error) {
	for _, f := range list {
		if f.suspended != nil && *f.suspended || f.password != nil || f.noPassword {
			return true, nil
		}
	}
	return false, nil
}

func (r *request) deleteUser(tx *keys.Tx) (*Answer, error) {
	return &Answer{}, dropUser(tx, r.user(), "user_id")
}

func (r *request) deleteUsers(tx *keys.Tx, ids []string) (*Answer, error) {
	for i, id := range ids {
		if err := dropUser(tx, id, idField(i)); err != nil {
			return nil, err
		}
	}
	return &Answer{}, nil
}

// dropUser deletes a user with everything the user owns. field is the field with
// the ID.
func dropUser(tx *keys.Tx, id, field string) error {
	if _, err := tx.User(id); errors.Is(err, keys.ErrNotFound) {
		return refuse(CodeNotFound, field, "there is no such user")
	}
	return tx.DeleteUser(id)
}

// idField returns the path of an ID in a list of IDs.
func idField(i int) string { return fmt.Sprintf("ids[%d]", i) }

// namedOnce refuses a list that names an ID twice.
func namedOnce(_ *request, ids *[]string) error {
	var once onceEach
	for i, id := range *ids {
		if err := once.add(idField(i), id); err != nil {
			return err
		}
	}
	return nil
}

// onceEach refuses two changes of one record in one request, because the result
// would depend on their order.
type onceEach map[string]bool

func (o *onceEach) add(field, id string) error {
	if (*o)[id] {
		return refuse(CodeInvalid, field, "it is named twice in this request")
	}
	if *o == nil {
		*o = onceEach{}
	}
	(*o)[id] = true
	return nil
}

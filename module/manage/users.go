package manage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// User is a user as the API shows one.
type User struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Email      string    `json:"email"`
	Suspended  bool      `json:"suspended"`
	TwoFactor  bool      `json:"two_factor"` // a second factor is asked for
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
	Version    uint64    `json:"version"` // as a key's
}

func showUser(u keys.User) User {
	return User{
		ID: u.ID, Name: u.Name, Email: u.Email, Suspended: u.Suspended, TwoFactor: u.TwoFactor.Enabled,
		CreatedAt: u.CreatedAt.UTC(), ModifiedAt: u.ModifiedAt.UTC(), Version: u.Version,
	}
}

// show turns a list of records into what is shown, never nil: an empty list
// is an answer.
func show[T, V any](list []T, one func(T) V) []V {
	shown := make([]V, 0, len(list))
	for _, v := range list {
		shown = append(shown, one(v))
	}
	return shown
}

// newID makes up the id of a user or an app.
func newID() string { return strings.ToLower(rand.Text()) }

// findUser reads the user whom the path names.
func (r *request) findUser(from keys.Reader) (keys.User, error) {
	u, err := from.User(r.user())
	if errors.Is(err, keys.ErrNotFound) {
		return u, refuse(CodeNotFound, "user_id", "there is no such user")
	}
	return u, err
}

func (r *request) getUser() (*Answer, error) {
	if err := r.noBody(); err != nil {
		return nil, err
	}
	var u keys.User
	err := r.view(func(from keys.Reader) (err error) {
		u, err = r.findUser(from)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown := showUser(u)
	return &Answer{User: &shown}, nil
}

func (r *request) listUsers() (*Answer, error) {
	p, err := r.listing()
	if err != nil {
		return nil, err
	}
	var found []keys.User
	var next string
	err = r.view(func(from keys.Reader) (err error) {
		found, next, err = take(from.Users(p.after), p, func(u keys.User) uint64 { return u.Seq }, everyOne)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Users: show(found, showUser), Next: next}, nil
}

// userFields is what a request says of a user. What is nil stays.
type userFields struct {
	path, id    string
	name, email *string
	suspended   *bool
	version     *uint64
	// password null takes away the one that there was.
	password     *string
	noPassword   bool
	passwordHash string
}

func readUser(o *object) (userFields, error) {
	f := userFields{path: o.path}
	o.text("id", &f.id)
	f.name = given(o.text, "name")
	f.email = given(o.text, "email")
	f.noPassword = isNull(o.fields["password"])
	f.password = given(o.text, "password")
	f.suspended = given(o.flag, "suspended")
	f.version = given(o.number, "version")
	return f, o.err
}

// readUserToChange is readUser where only its id says which user it is.
func readUserToChange(o *object) (userFields, error) {
	f, err := readUser(o)
	if err == nil && f.id == "" {
		err = refuse(CodeInvalid, o.field("id"), "it is missing; name the user that is to change")
	}
	return f, err
}

// given reads a field that may be absent: then it is nil.
func given[T any](read func(string, *T) bool, name string) *T {
	value := new(T)
	if !read(name, value) {
		return nil
	}
	return value
}

// hash hashes the password, before the transaction that stores it: others
// wait for that one.
func (f *userFields) hash(ctx context.Context) error {
	if f.password == nil || f.noPassword {
		return nil
	}
	hash, err := keys.HashPassword(ctx, *f.password)
	f.passwordHash = hash
	return locate(f.path, err)
}

func (f *userFields) apply(u *keys.User) {
	set(&u.Name, f.name)
	set(&u.Email, f.email)
	set(&u.Suspended, f.suspended)
	if f.password != nil {
		u.PasswordHash = f.passwordHash
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (r *request) createUsers() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "users", readUser)
	if err == nil {
		err = o.end()
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].hash(r.Context()); err != nil {
			return nil, err
		}
	}
	var made []keys.User
	err = r.update(func(tx *keys.Tx) error {
		made = nil
		for _, f := range list {
			u := keys.User{ID: f.id}
			if u.ID == "" {
				u.ID = newID()
			}
			f.apply(&u)
			u, err := tx.CreateUser(u)
			if err != nil {
				return locate(f.path, err)
			}
			made = append(made, u)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Users: show(made, showUser)}, nil
}

func (r *request) changeUsers() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	list, err := elements(o, "users", readUserToChange)
	if err == nil {
		_, err = o.action()
	}
	if err != nil {
		return nil, err
	}
	changed, err := r.applyToUsers(list)
	if err != nil {
		return nil, err
	}
	return &Answer{Users: show(changed, showUser)}, nil
}

func (r *request) changeUser() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	f, err := readOne(o, "user", readUser)
	if err != nil {
		return nil, err
	}
	if f.id != "" && f.id != r.user() {
		return nil, refuse(CodeInvalid, join(f.path, "id"), "it is not that of the path, and an id never changes")
	}
	f.id = r.user()
	changed, err := r.applyToUsers([]userFields{f})
	if err != nil {
		return nil, err
	}
	shown := showUser(changed[0])
	return &Answer{User: &shown}, nil
}

func (r *request) applyToUsers(list []userFields) ([]keys.User, error) {
	var once onceEach
	for i := range list {
		if err := errors.Join(once.add(join(list[i].path, "id"), list[i].id), list[i].hash(r.Context())); err != nil {
			return nil, err
		}
	}
	var changed []keys.User
	err := r.changeBy(anyTakesAway(list), func(tx *keys.Tx) error {
		changed = nil
		for _, f := range list {
			u, err := tx.ChangeUser(f.id, func(u *keys.User) error {
				f.apply(u)
				return sameVersion(f.path, f.version, u.Version)
			})
			if errors.Is(err, keys.ErrNotFound) {
				return refuse(CodeNotFound, join(f.path, "id"), "there is no such user")
			}
			if err != nil {
				return locate(f.path, err)
			}
			changed = append(changed, u)
		}
		return nil
	})
	return changed, err
}

// anyTakesAway reports whether a change of users suspends one or ends its
// sessions.
func anyTakesAway(list []userFields) bool {
	for _, f := range list {
		if f.suspended != nil && *f.suspended || f.password != nil || f.noPassword {
			return true
		}
	}
	return false
}

func (r *request) deleteUser() (*Answer, error) {
	if err := r.noBody(); err != nil {
		return nil, err
	}
	return r.dropUsers([]string{r.user()}, func(int) string { return "user_id" })
}

func (r *request) deleteUsers() (*Answer, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, err
	}
	return r.dropUsers(ids, func(i int) string { return fmt.Sprintf("ids[%d]", i) })
}

// dropUsers deletes users with all they have. field is where an id stands.
func (r *request) dropUsers(ids []string, field func(int) string) (*Answer, error) {
	var once onceEach
	for i, id := range ids {
		if err := once.add(field(i), id); err != nil {
			return nil, err
		}
	}
	err := r.withdraw(func(tx *keys.Tx) error {
		for i, id := range ids {
			if _, err := tx.User(id); errors.Is(err, keys.ErrNotFound) {
				return refuse(CodeNotFound, field(i), "there is no such user")
			}
			if err := tx.DeleteUser(id); err != nil {
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

// onceEach refuses to do two things to one record in one request: which of
// them counts would depend on their order.
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

package gatetest

import (
	"context"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Update makes a change in the store, as the operator.
func (s *Server) Update(fn func(*keys.Tx) error) {
	s.T.Helper()
	if err := s.Directory().Update(context.Background(), Operator, fn); err != nil {
		s.T.Fatal(err)
	}
}

// AddUsers creates users.
func (s *Server) AddUsers(ids ...string) {
	s.T.Helper()
	s.Update(func(tx *keys.Tx) error {
		for _, id := range ids {
			if _, err := tx.CreateUser(keys.User{ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddApp creates an app.
func (s *Server) AddApp(owner, id string) {
	s.T.Helper()
	s.Update(func(tx *keys.Tx) error {
		_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: owner, AppID: id}})
		return err
	})
}

// AddCredential creates a credential. It returns the text that a client
// presents, which must not show in the log, and the record.
func (s *Server) AddCredential(c keys.Credential) (text string, record keys.Credential) {
	s.T.Helper()
	text, c.ID = credential.Mint("ca", c.Kind)
	c.Digest = credential.DigestOf(text)
	s.Logs.AddSecret(text)
	s.Update(func(tx *keys.Tx) (err error) {
		record, err = tx.CreateCredential(c)
		return err
	})
	return text, record
}

// AppKey creates an app key and returns its text.
func (s *Server) AppKey(owner, app string, scopes ...string) string {
	s.T.Helper()
	text, _ := s.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: owner, AppID: app, Scopes: scopes})
	return text
}

// PAT creates a personal access token and returns its text.
func (s *Server) PAT(user string, scopes ...string) string {
	s.T.Helper()
	text, _ := s.AddCredential(keys.Credential{Kind: policy.PAT, UserID: user, Scopes: scopes})
	return text
}

// Session creates a session and returns its text.
func (s *Server) Session(user string) string {
	s.T.Helper()
	text, _ := s.AddCredential(keys.Credential{Kind: policy.Session, UserID: user})
	return text
}

// ChangeCredential changes the credential with this ID.
func (s *Server) ChangeCredential(id string, change func(*keys.Credential)) {
	s.T.Helper()
	s.Update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(id, func(c *keys.Credential) error { change(c); return nil })
		return err
	})
}

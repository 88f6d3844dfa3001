package migrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// tykEntry is a key as Tyk's Dashboard shows it. A session on its own has only
// the fields of tykSession.
type tykEntry struct {
	Key     string      `json:"key"`
	KeyID   string      `json:"key_id"`
	KeyHash string      `json:"key_hash"`
	Data    *tykSession `json:"data"`
	tykSession
}

// tykSession is Tyk's record of a key.
type tykSession struct {
	Alias    string   `json:"alias"`
	OrgID    string   `json:"org_id"`
	Inactive bool     `json:"is_inactive"`
	Expires  int64    `json:"expires"` // seconds since 1970; 0 or less is never
	Tags     []string `json:"tags"`
}

// tykFields are the fields that distinguish an entry from sessions by key.
var tykFields = map[string]bool{"key": true, "key_id": true, "key_hash": true, "data": true}

// tykRest are the other fields of an entry or an answer.
var tykRest = map[string]bool{
	"api_model": true, "status": true, "message": true, "action": true,
	// Definitions of APIs, which configure where clients send keys.
	"apis": true, "api_definition": true, "api_definitions": true, "auth": true, "auth_configs": true,
}

func (in *reader) tyk(source *bufio.Reader) error {
	s := newStream(source)
	var entry map[string]json.RawMessage
	var at int
	each := func(value json.RawMessage, line int) error { return in.tykElement(value, line) }
	return s.documents(func(name string) error {
		switch {
		case name == "keys":
			return s.list(each)
		case name == "pages":
			return in.total(s, name)
		case tykRest[name]:
			return s.look(name, in.config)
		}
		value, line, err := s.element()
		switch {
		case err != nil:
			return err
		case tykFields[name]:
			if entry == nil {
				entry, at = map[string]json.RawMessage{}, line
			}
			entry[name] = value
			return nil
		}
		var session tykSession
		if !bytes.HasPrefix(value, []byte("{")) || decodeJSON(value, &session) != "" {
			return in.wrong(line, "", "expected a session under the name of its key; or list the keys as {\"keys\": […]}")
		}
		return in.tykKey(name, false, &session, line)
	}, func() error {
		fields, line := entry, at
		entry = nil
		in.pages.listed = 1
		in.endTotal()
		if fields == nil {
			return nil
		}
		return in.tykDocument(fields, line)
	}, each)
}

// tykDocument reads an object that is one entry, or an answer with a list of
// entries in data.
func (in *reader) tykDocument(fields map[string]json.RawMessage, line int) error {
	var listed []json.RawMessage
	var wrapped struct {
		Keys  []json.RawMessage `json:"keys"`
		Pages int               `json:"pages"`
	}
	data := fields["data"]
	switch {
	case len(fields) > 1:
	case json.Unmarshal(data, &listed) == nil:
	case json.Unmarshal(data, &wrapped) == nil && wrapped.Keys != nil:
		listed = wrapped.Keys
		in.pages.field, in.pages.total, in.pages.listed, in.pages.line = "pages", wrapped.Pages, 1, line
		in.endTotal()
	}
	for _, value := range listed {
		if err := in.tykElement(value, line); err != nil {
			return err
		}
	}
	if listed != nil {
		return nil
	}
	whole, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return in.tykElement(whole, line)
}

// tykElement reads an element of a list: an entry, or the key alone.
func (in *reader) tykElement(value json.RawMessage, line int) error {
	var key string
	if json.Unmarshal(value, &key) == nil {
		return in.tykKey(key, false, &tykSession{}, line)
	}
	var e tykEntry
	if wrong := decodeJSON(value, &e); wrong != "" {
		return in.wrong(line, "", "%s", wrong)
	}
	session := e.Data
	if session == nil {
		session = &e.tykSession
	}
	switch {
	case e.Key != "":
		return in.tykKey(e.Key, false, session, line)
	case e.KeyID != "" && e.KeyID != e.KeyHash:
		return in.tykKey(e.KeyID, false, session, line)
	}
	return in.tykKey(e.KeyHash, true, session, line)
}

// tykKey reads one key. hashed is true if the text is known to be a hash;
// otherwise its form decides.
func (in *reader) tykKey(text string, hashed bool, session *tykSession, line int) error {
	text = strings.TrimPrefix(text, "apikey-") // of Redis
	user := session.Alias
	if in.UserFrom == "org_id" {
		user = session.OrgID
	}
	k := Record{
		Line: line, User: userID(user), Disabled: session.Inactive,
		Description: describe("Tyk", tagged(session.Tags)),
	}
	k.Name = k.Description
	if session.Alias != "" {
		k.Name = "Tyk, alias " + session.Alias
		k.Description = describe("Tyk, alias "+session.Alias, tagged(session.Tags))
	}
	if session.Expires > 0 {
		if session.Expires > maxExpiry {
			return in.wrong(line, "expires", "it is not a time in seconds since 1970")
		}
		k.ExpiresAt = time.Unix(session.Expires, 0).UTC()
	}
	digits := len(text)
	if strings.ContainsFunc(text, func(c rune) bool { return c > 0x7f || !isHex(byte(c)) }) {
		digits = 0
	}
	switch {
	case in.ClearText && !hashed:
		k.Credential = text
	case digits == 64:
		k.SHA256 = text
	case hashed && text != "", digits == 8, digits == 16, digits == 32:
		return in.wrong(line, "key_hash", "it looks like a murmur hash, Tyk's default, from which a key can't be imported: dump the keys where hash_keys is off or hash_key_function is sha256, or give their holders new keys; if these are the keys themselves, give --clear-text")
	default:
		k.Credential = text
	}
	return in.key(k)
}

// maxExpiry is the end of the year 2199, in seconds since 1970.
const maxExpiry = 7_258_118_399

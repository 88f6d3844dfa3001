package migrate

import (
	"bufio"
	"encoding/json"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// kongConsumer is a consumer of Kong with its keys.
type kongConsumer struct {
	ID          string    `json:"id" yaml:"id"`
	Username    string    `json:"username" yaml:"username"`
	CustomID    string    `json:"custom_id" yaml:"custom_id"`
	Credentials []kongKey `json:"keyauth_credentials" yaml:"keyauth_credentials"`
}

// kongKey is a credential of the plug-in key-auth.
type kongKey struct {
	ID       string   `json:"id" yaml:"id"`
	Key      string   `json:"key" yaml:"key"`
	Tags     []string `json:"tags" yaml:"tags"`
	TTL      *int64   `json:"ttl" yaml:"ttl"` // seconds that are left
	Consumer kongRef  `json:"consumer" yaml:"consumer"`
	// line is counted from the beginning of the element.
	line int
}

// kongRef names a consumer by its name or ID.
type kongRef struct {
	ID       string `json:"id" yaml:"id"`
	Username string `json:"username" yaml:"username"`
}

// name returns the ID or the name of the consumer.
func (c kongRef) name() string {
	if c.ID != "" {
		return c.ID
	}
	return c.Username
}

// UnmarshalJSON reads an object, or the name alone.
func (c *kongRef) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &c.ID)
	}
	type plain kongRef
	return json.Unmarshal(text, (*plain)(c))
}

// UnmarshalYAML reads an object, or the name alone.
func (c *kongRef) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&c.ID)
	}
	type plain kongRef
	return n.Decode((*plain)(c))
}

// UnmarshalYAML remembers the line.
func (k *kongKey) UnmarshalYAML(n *yaml.Node) error {
	type plain kongKey
	k.line = n.Line - 1
	return n.Decode((*plain)(k))
}

func (in *reader) kong(source *bufio.Reader) error {
	in.users = map[string]string{}
	if !isJSON(source) {
		s := splitter{wanted: []string{"consumers", "keyauth_credentials"}}
		s.item = func(section string, text []byte, line int) error {
			if section == "consumers" {
				var c kongConsumer
				return in.kongConsumer(&c, line, decode(text, &c))
			}
			var k kongKey
			return in.kongKey(&k, line, decode(text, &k))
		}
		s.other = in.lookYAML
		return s.split(source)
	}
	s := newStream(source)
	consumer := func(value json.RawMessage, line int) error {
		var c kongConsumer
		return in.kongConsumer(&c, line, decodeJSON(value, &c))
	}
	key := func(value json.RawMessage, line int) error {
		var k kongKey
		return in.kongKey(&k, line, decodeJSON(value, &k))
	}
	return s.documents(func(name string) error {
		switch name {
		case "consumers":
			return s.list(consumer)
		case "keyauth_credentials", "data": // the latter of the Admin API, GET /key-auths
			return s.list(key)
		case "next", "offset":
			return in.next(s, name)
		}
		return s.look(name, in.config)
	}, in.endPage, key)
}

// decodeJSON reads an element. It doesn't return the decoder's error, which may
// repeat a credential.
func decodeJSON(value json.RawMessage, into any) (wrong string) {
	if err := json.Unmarshal(value, into); err != nil {
		return "a field of it is of the wrong type"
	}
	return ""
}

// maxConsumers is how many consumers are remembered for keys that only name
// their IDs.
const maxConsumers = 100_000

func (in *reader) kongConsumer(c *kongConsumer, line int, wrong string) error {
	if wrong != "" {
		return in.wrong(line, "", "%s", wrong)
	}
	user := in.kongUser(c)
	if in.User == "" && len(in.users) < maxConsumers {
		for _, name := range []string{c.ID, c.Username} {
			if name != "" {
				in.users[name] = user
			}
		}
	}
	for i := range c.Credentials {
		k := &c.Credentials[i]
		if err := in.kongRecord(k, line+k.line, user); err != nil {
			return err
		}
	}
	return nil
}

// kongUser returns the field of a consumer that names the user.
func (in *reader) kongUser(c *kongConsumer) string {
	switch in.UserFrom {
	case "id":
		return c.ID
	case "custom_id":
		return c.CustomID
	}
	for _, name := range []string{c.Username, c.CustomID, c.ID} {
		if name != "" {
			return name
		}
	}
	return ""
}

// kongKey reads a key that stands next to the consumers and names its consumer.
func (in *reader) kongKey(k *kongKey, line int, wrong string) error {
	if wrong != "" {
		return in.wrong(line, "", "%s", wrong)
	}
	name := k.Consumer.name()
	user, known := in.users[name]
	if !known && in.User == "" {
		switch {
		case in.UserFrom == "id" && k.Consumer.ID != "", in.UserFrom == "consumer" && name != "" && !isUUID(name):
			user = name
		default:
			return in.wrong(line, "consumer", "it is not a consumer that the file lists before this key (the first %d are remembered): give --user-from id, or --user", maxConsumers)
		}
	}
	return in.kongRecord(k, line, user)
}

func (in *reader) kongRecord(k *kongKey, line int, consumer string) error {
	r := Record{
		Line: line, Credential: k.Key, User: userID(consumer), Name: oldName("Kong, consumer "+consumer, k.ID),
		Description: describe("Kong, consumer "+consumer, tagged(k.Tags)),
	}
	if k.TTL != nil && *k.TTL != 0 {
		if *k.TTL < 0 || *k.TTL > maxTTL {
			return in.wrong(line, "ttl", "it is not a remaining time in seconds")
		}
		r.ExpiresAt = in.Now.Add(time.Duration(*k.TTL) * time.Second).UTC().Truncate(time.Second)
	}
	return in.key(r)
}

// maxTTL is a hundred years, in seconds.
const maxTTL = 100 * 366 * 24 * 3600

func tagged(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	return "tags " + strings.Join(tags, ", ")
}

// isUUID reports whether a text has the form of a UUID.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// Interface guards
var (
	_ json.Unmarshaler = (*kongRef)(nil)
	_ yaml.Unmarshaler = (*kongRef)(nil)
	_ yaml.Unmarshaler = (*kongKey)(nil)
)

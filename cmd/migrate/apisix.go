package migrate

import (
	"bufio"
	"encoding/json"
	"strings"
)

// apisixConsumer is a consumer of APISIX, or one of its credentials. These stand
// next to the consumers, and have the consumer's name in their ID.
type apisixConsumer struct {
	ID       string `json:"id" yaml:"id"`
	Username string `json:"username" yaml:"username"`
	Desc     string `json:"desc" yaml:"desc"`
	Plugins  struct {
		KeyAuth *struct {
			Key string `json:"key" yaml:"key"`
		} `json:"key-auth" yaml:"key-auth"`
	} `json:"plugins" yaml:"plugins"`
	// Credentials are only in the files of APISIX's tool adc.
	Credentials []struct {
		Name   string `json:"name" yaml:"name"`
		Type   string `json:"type" yaml:"type"`
		Config struct {
			Key string `json:"key" yaml:"key"`
		} `json:"config" yaml:"config"`
	} `json:"credentials" yaml:"credentials"`
}

// apisixItem is an element of a list of the Admin API, which wraps consumers.
type apisixItem struct {
	Key   string          `json:"key"`
	Value *apisixConsumer `json:"value"`
	apisixConsumer
}

func (in *reader) apisix(source *bufio.Reader) error {
	if !isJSON(source) {
		s := splitter{wanted: []string{"consumers"}}
		s.item = func(_ string, text []byte, line int) error {
			var c apisixConsumer
			return in.apisixConsumer(&c, "", line, decode(text, &c))
		}
		s.other = in.lookYAML
		return s.split(source)
	}
	s := newStream(source)
	each := func(value json.RawMessage, line int) error {
		in.pages.listed++
		var item apisixItem
		wrong := decodeJSON(value, &item)
		if item.Value == nil {
			item.Value = &item.apisixConsumer
		}
		return in.apisixConsumer(item.Value, item.Key, line, wrong)
	}
	return s.documents(func(name string) error {
		switch name {
		case "list", "consumers":
			return s.list(each)
		case "total":
			return in.total(s, name)
		}
		return s.look(name, in.config)
	}, func() error { in.endTotal(); return nil }, each)
}

// apisixConsumer reads the keys of a consumer. key is where it is stored.
func (in *reader) apisixConsumer(c *apisixConsumer, key string, line int, wrong string) error {
	if wrong != "" {
		return in.wrong(line, "", "%s", wrong)
	}
	name := c.Username
	for _, path := range []string{key, c.ID} {
		if before, _, ok := strings.Cut(path, "/credentials/"); ok && name == "" {
			name = before[strings.LastIndexByte(before, '/')+1:]
		}
	}
	record := func(credential, id string) error {
		return in.key(Record{
			Line: line, Credential: credential, User: userID(name), Name: oldName("APISIX, consumer "+name, id),
			Description: describe("APISIX, consumer "+name, c.Desc),
		})
	}
	if c.Plugins.KeyAuth != nil {
		if err := record(c.Plugins.KeyAuth.Key, credentialID(key, c.ID)); err != nil {
			return err
		}
	}
	for _, k := range c.Credentials {
		if k.Type != "key-auth" {
			continue
		}
		if err := record(k.Config.Key, k.Name); err != nil {
			return err
		}
	}
	return nil
}

// credentialID returns the last part of the path of a consumer's credential, or
// an empty string.
func credentialID(paths ...string) string {
	for _, path := range paths {
		if _, id, ok := strings.Cut(path, "/credentials/"); ok {
			return id
		}
	}
	return ""
}

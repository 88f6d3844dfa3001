package migrate

import (
	"bufio"
	"encoding/json"
	"strings"
)

// apisixConsumer is a consumer of APISIX, or one of its credentials, which
// stand beside the consumers and have the consumer's name in their id.
type apisixConsumer struct {
	ID       string `json:"id" yaml:"id"`
	Username string `json:"username" yaml:"username"`
	Desc     string `json:"desc" yaml:"desc"`
	Plugins  struct {
		KeyAuth *struct {
			Key string `json:"key" yaml:"key"`
		} `json:"key-auth" yaml:"key-auth"`
	} `json:"plugins" yaml:"plugins"`
	// Credentials are there in the files of APISIX's tool adc.
	Credentials []struct {
		Type   string `json:"type" yaml:"type"`
		Config struct {
			Key string `json:"key" yaml:"key"`
		} `json:"config" yaml:"config"`
	} `json:"credentials" yaml:"credentials"`
}

// apisixItem is one of a list of the Admin API, which wraps what it lists.
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
		return s.split(source)
	}
	s := newStream(source)
	each := func(value json.RawMessage, line int) error {
		var item apisixItem
		wrong := decodeJSON(value, &item)
		if item.Value == nil {
			item.Value = &item.apisixConsumer
		}
		return in.apisixConsumer(item.Value, item.Key, line, wrong)
	}
	return s.documents(func(name string) error {
		if name == "list" || name == "consumers" {
			return s.list(each)
		}
		return s.skip()
	}, nothing, each)
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
	record := func(credential string) error {
		return in.key(Record{
			Line: line, Credential: credential, User: userID(name),
			Description: describe("APISIX, consumer "+name, c.Desc),
		})
	}
	if c.Plugins.KeyAuth != nil {
		if err := record(c.Plugins.KeyAuth.Key); err != nil {
			return err
		}
	}
	for _, k := range c.Credentials {
		if k.Type != "key-auth" {
			continue
		}
		if err := record(k.Config.Key); err != nil {
			return err
		}
	}
	return nil
}

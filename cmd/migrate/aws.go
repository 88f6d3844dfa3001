package migrate

import (
	"bufio"
	"encoding/json"
)

// awsKey is a key of AWS API Gateway.
type awsKey struct {
	ID          string `json:"id"`
	Value       string `json:"value"`
	Name        string `json:"name"`
	CustomerID  string `json:"customerId"`
	Description string `json:"description"`
	Enabled     *bool  `json:"enabled"`
}

func (in *reader) aws(source *bufio.Reader) error {
	s := newStream(source)
	each := func(value json.RawMessage, line int) error {
		var k awsKey
		if wrong := decodeJSON(value, &k); wrong != "" {
			return in.wrong(line, "", "%s", wrong)
		}
		if k.Value == "" {
			return in.wrong(line, "value", "the key itself is not in the dump: make it with --include-values")
		}
		user := map[string]string{"name": k.Name, "customer_id": k.CustomerID, "id": k.ID}[in.UserFrom]
		return in.key(Record{
			Line: line, Credential: k.Value, User: userID(user),
			Name:        oldName("AWS, "+k.Name, k.ID),
			Description: describe("AWS, key "+k.Name, k.Description),
			Disabled:    k.Enabled != nil && !*k.Enabled,
		})
	}
	return s.documents(func(name string) error {
		switch name {
		case "items":
			return s.list(each)
		case "NextToken", "nextToken", "position", "NextMarker":
			return in.next(s, name)
		}
		return s.skip()
	}, in.endPage, each)
}

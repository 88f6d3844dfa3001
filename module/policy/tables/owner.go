package tables

import "github.com/caddy-api-keys/gateway/module/policy"

// ParseOwnerQuery reads an owner_query directive: the query fields that name
// the owner and the app.
func ParseOwnerQuery(tokens []Token) (policy.OwnerFields, error) {
	words, err := line(tokens)
	if err == nil && len(words) != 2 {
		err = tokens[0].errorf("owner_query takes two fields: write owner_query user_app_id.user_id user_app_id.app_id")
	}
	if err != nil {
		return policy.OwnerFields{}, err
	}
	return policy.OwnerFields{Owner: words[0], App: words[1]}, nil
}

// ParseOwnerBody reads an owner_body directive: fields of JSON bodies.
func ParseOwnerBody(tokens []Token) ([]string, error) {
	words, err := line(tokens)
	if err == nil && len(words) == 0 {
		err = tokens[0].errorf("owner_body takes fields: write owner_body user_app_id.user_id user_app_id.app_id")
	}
	return words, err
}

// ParseOwnerMessage reads an owner_message directive: a gRPC method, and
// fields of its messages.
func ParseOwnerMessage(tokens []Token) (policy.OwnerMessage, error) {
	words, err := line(tokens)
	if err == nil && len(words) < 2 {
		err = tokens[0].errorf("owner_message takes a method and fields: write owner_message /package.Service/Method user_app_id.user_id=1.1 user_app_id.app_id=1.2")
	}
	if err != nil {
		return policy.OwnerMessage{}, err
	}
	return policy.OwnerMessage{Method: words[0], Fields: words[1:], Place: tokens[0].place()}, nil
}

// ParseDescriptors reads a descriptors directive: the file that describes the
// gRPC methods of the owner_message lines. The name is as written.
func ParseDescriptors(tokens []Token) (string, error) {
	words, err := line(tokens)
	if err == nil && len(words) != 1 {
		err = tokens[0].errorf("descriptors takes one file: write descriptors my-api.binpb")
	}
	if err != nil {
		return "", err
	}
	return words[0], nil
}

// line is what follows the name of a directive that has no block.
func line(tokens []Token) ([]string, error) {
	d, err := takeApart(tokens)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if t.opens() {
			return nil, t.errorf("%s has no block: take the %s away", d.name.Text, t.Text)
		}
	}
	return d.args, nil
}

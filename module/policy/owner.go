package policy

// OwnerFields are two query fields that name the owner and the app.
type OwnerFields struct {
	// Owner names the owner, for example user_app_id.user_id.
	Owner string `json:"owner"`
	// App names the app, for example user_app_id.app_id.
	App string `json:"app"`
}

// OwnerMessage lists the fields in which the messages of a gRPC method name the
// owner and the app.
type OwnerMessage struct {
	// Method is /package.Service/Method.
	Method string `json:"method"`
	// Fields are paths of fields, by name and by number, such as
	// user_app_id.user_id=1.1. The last name is a word of the option owner: it
	// decides whether the field names the owner or the app.
	Fields []string `json:"fields"`
	// Place is where the line stands, for errors.
	Place string `json:"-"`
}

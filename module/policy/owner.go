package policy

// OwnerFields are two fields of the query that name the owner and the app.
type OwnerFields struct {
	// Owner names the owner, as user_app_id.user_id.
	Owner string `json:"owner"`
	// App names the app, as user_app_id.app_id.
	App string `json:"app"`
}

// OwnerMessage says where the messages of a gRPC method name the owner and the
// app.
type OwnerMessage struct {
	// Method is /package.Service/Method.
	Method string `json:"method"`
	// Fields are paths of fields, by name and by number, as
	// user_app_id.user_id=1.1. The last name says what the field names, in the
	// words of the option owner.
	Fields []string `json:"fields"`
	// Place is where the line stands, for errors.
	Place string `json:"-"`
}

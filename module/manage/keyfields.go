package manage

// KeyField describes a field of a [Key] to what shows keys as text: a table, or
// a description of one key.
type KeyField struct {
	// Name is what programs call the field.
	Name string
	// Label is what people call the field; empty if only programs read it.
	Label string
	// Value is a string, a list of strings, a bool, a number, or a *time.Time
	// that may be nil.
	Value func(*Key) any
	// None is what people read in the place of an empty value. Without it such
	// a field isn't shown to them.
	None string
	// Free marks a text that users write as they like.
	Free bool
}

// KeyFields are all fields of a key, in the order in which they are shown.
var KeyFields = []KeyField{
	{Name: "id", Label: "Id", Value: func(k *Key) any { return k.KeyID }},
	{Name: "type", Label: "Kind", Value: func(k *Key) any { return k.Type }},
	{Name: "user", Label: "User", Value: func(k *Key) any { return k.UserID }},
	{Name: "app", Label: "App", Value: func(k *Key) any { return k.AppID() }},
	{Name: "description", Label: "Description", Value: func(k *Key) any { return k.Description }, Free: true},
	{Name: "scopes", Label: "Scopes", Value: func(k *Key) any { return k.Scopes }, None: "none"},
	{Name: "endpoints", Label: "Endpoints", Value: func(k *Key) any { return k.Endpoints }, None: "all"},
	{Name: "disabled", Value: func(k *Key) any { return k.Disabled }},
	{Name: "created_at", Label: "Created", Value: func(k *Key) any { return &k.CreatedAt }},
	{Name: "created_by", Label: "Created by", Value: func(k *Key) any { return k.CreatedBy }},
	{Name: "modified_at", Label: "Modified", Value: func(k *Key) any { return &k.ModifiedAt }},
	{Name: "expires_at", Label: "Expires", Value: func(k *Key) any { return k.ExpiresAt }, None: "never"},
	{Name: "last_used_at", Value: func(k *Key) any { return k.LastUsedAt }},
	{Name: "last_used_from", Value: func(k *Key) any { return k.LastUsedFrom }},
	{Name: "version", Value: func(k *Key) any { return k.Version }},
}

// AppID is the app that the key is tied to; empty if it is tied to none.
func (k *Key) AppID() string {
	if len(k.Apps) == 0 {
		return ""
	}
	return k.Apps[0].ID
}

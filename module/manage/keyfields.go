package manage

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// KeyField describes a field of a [Key] to code that shows keys as text, in a table
// or one by one.
type KeyField struct {
	// Name is the field's name for programs.
	Name string
	// Label is the field's name for people. It is empty if only programs read the
	// field.
	Label string
	// Value is a string, a list of strings, a bool, a number, or a *time.Time
	// that may be nil.
	Value func(*Key) any
	// None is the text for people instead of an empty value. If it is empty, the
	// field is left out instead.
	None string
	// Free marks a text that users choose freely.
	Free bool
}

// KeyFields are all fields of a key that isn't revoked, in their order for display.
var KeyFields = []KeyField{
	{Name: "id", Label: "ID", Value: func(k *Key) any { return k.KeyID }},
	{Name: "type", Label: "Kind", Value: func(k *Key) any { return k.Type }},
	{Name: "user", Label: "User", Value: func(k *Key) any { return k.UserID }},
	{Name: "app", Label: "App", Value: func(k *Key) any { return k.AppID() }},
	{Name: "description", Label: "Description", Value: func(k *Key) any { return k.Description }, Free: true},
	{Name: "scopes", Label: "Scopes", Value: func(k *Key) any { return k.Scopes }, None: "none"},
	{Name: "endpoints", Label: "Endpoints", Value: func(k *Key) any { return k.Endpoints }, None: "all"},
	{Name: "plan", Label: "Plan", Value: func(k *Key) any { return k.Plan }},
	{Name: "limits", Label: "Limits", Value: func(k *Key) any { return LimitTexts(k.Limits) }, None: "none"},
	{Name: "addresses", Label: "Addresses", Value: func(k *Key) any { return k.Addresses }, None: "any"},
	{Name: "resources", Label: "Resources", Value: func(k *Key) any { return ValueTexts(k.Resources) }, None: "any", Free: true},
	{Name: "disabled", Value: func(k *Key) any { return k.Disabled }},
	{Name: "created_at", Label: "Created", Value: func(k *Key) any { return &k.CreatedAt }},
	{Name: "created_by", Label: "Created by", Value: func(k *Key) any { return k.CreatedBy }},
	{Name: "modified_at", Label: "Modified", Value: func(k *Key) any { return &k.ModifiedAt }},
	{Name: "expires_at", Label: "Expires", Value: func(k *Key) any { return k.ExpiresAt }, None: "never"},
	{Name: "last_used_at", Value: func(k *Key) any { return k.LastUsedAt }},
	{Name: "last_used_from", Value: func(k *Key) any { return k.LastUsedFrom }},
	{Name: "version", Value: func(k *Key) any { return k.Version }},
	{Name: "rotated_from", Label: "Rotated from", Value: func(k *Key) any { return k.RotatedFrom }},
	{Name: "rotated_to", Label: "Rotated to", Value: func(k *Key) any { return k.RotatedTo }},
}

// LimitTexts returns each limit as a text, such as rate 10/s.
func LimitTexts(l policy.Limits) (list []string) {
	if l.Rate != (policy.Rate{}) {
		list = append(list, "rate "+l.Rate.String())
	}
	if l.Quota != (policy.Quota{}) {
		list = append(list, "quota "+l.Quota.String())
	}
	if l.Concurrent != 0 {
		list = append(list, fmt.Sprintf("concurrent %d", l.Concurrent))
	}
	return list
}

// ValueTexts returns each value of resources as a text, such as model=llama-3*.
func ValueTexts(v policy.Values) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if len(v[name]) == 0 {
			list = append(list, name+"=") // none, unlike no list
		}
		for _, value := range v[name] {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// AppID returns the app that the key is tied to, or an empty string.
func (k *Key) AppID() string {
	if len(k.Apps) == 0 {
		return ""
	}
	return k.Apps[0].ID
}

package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"weak"
)

// shared holds the tables in use, by the digest of what they were built from.
var shared struct {
	sync.Mutex
	tables map[[sha256.Size]byte]weak.Pointer[Table]
}

// SharedTable is like [NewTable] but returns one shared table for equal
// arguments, as long as the table is in use. The table of a large API is nearly
// all of what a site keeps in memory, and replaced configurations may stay in
// memory for minutes.
func SharedTable(routes []Route, ownerVar, appVar string) (*Table, error) {
	b := appendText(appendText(nil, ownerVar), appVar)
	for i := range routes {
		b = routes[i].appendTo(b)
	}
	key := sha256.Sum256(b)
	shared.Lock()
	defer shared.Unlock()
	if t := shared.tables[key].Value(); t != nil {
		return t, nil
	}
	t, err := NewTable(routes, ownerVar, appVar)
	if err != nil {
		return nil, err
	}
	if shared.tables == nil {
		shared.tables = map[[sha256.Size]byte]weak.Pointer[Table]{}
	}
	shared.tables[key] = weak.Make(t)
	runtime.AddCleanup(t, forgetTable, key)
	return t, nil
}

// appendTo appends an unambiguous encoding of the route to b.
func (r *Route) appendTo(b []byte) []byte {
	for _, text := range [...]string{r.Method, r.Pattern, r.Place} {
		b = appendText(b, text)
	}
	for _, list := range [...][]string{r.Scopes, r.Endpoint, r.Accept, r.Allow} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, text := range list {
			b = appendText(b, text)
		}
	}
	if r.Cost == nil {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), *r.Cost)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// forgetTable removes the entry of a collected table unless another table has
// replaced it.
func forgetTable(key [sha256.Size]byte) {
	shared.Lock()
	defer shared.Unlock()
	if shared.tables[key].Value() == nil {
		delete(shared.tables, key)
	}
}

// Package tenant reads whom a request names as owner and app, in its query, in
// a form, in a JSON body and in gRPC messages, which values of resources it names,
// and whether a parameter asks for another method. It answers nothing: it reports
// what it found, and an error where two parsers could read different things.
package tenant

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Part is whether a field names the owner, the app, or a resource.
type Part uint8

// The parts that a field can name.
const (
	Owner Part = iota + 1
	App
	Value // of a resource
)

// add adds a value of a field to what its place names.
func (p Part) add(m *policy.Mention, value string) {
	if p == App {
		m.AddApp(value)
		return
	}
	m.AddOwner(value)
}

// Field is a watched field: the dotted path that leads to it, and what it
// names. Place groups the fields that are read together: an owner and an app of
// one place belong to each other. Resource is the number of the resource that a
// [Value] belongs to.
type Field struct {
	Path     string
	Part     Part
	Place    int
	Resource int
}

// Names compares names with those of the watched fields by letters and digits
// alone: user_app_id.user_id, userAppId[userId] and !user-app-id['user_id'] are
// the same. Case, compatibility forms (NFKD), accents and invisible characters
// don't matter, nor do positions in lists (a[0].b is a.b).
//
// It is a trie over the letters of all fields. A state says how much of a field
// was read, and can be carried from an object to the names in it.
type Names struct {
	nodes []trieNode
}

type trieNode struct {
	edges []edge
	field int // index of the field that ends here, or -1
}

type edge struct {
	letter rune
	to     state
}

// state is a node of the trie, or dead.
type state int32

const dead state = -1

// NewNames returns the names of the fields.
func NewNames(fields []Field) *Names {
	n := &Names{nodes: []trieNode{{field: -1}}}
	for i, f := range fields {
		at := state(0)
		for _, c := range Letters(f.Path) {
			to := n.step(at, c)
			if to == dead {
				to = state(len(n.nodes))
				n.nodes = append(n.nodes, trieNode{field: -1})
				n.nodes[at].edges = append(n.nodes[at].edges, edge{c, to})
			}
			at = to
		}
		if at != 0 {
			n.nodes[at].field = i
		}
	}
	return n
}

func (n *Names) step(at state, letter rune) state {
	if at == dead {
		return dead
	}
	for _, e := range n.nodes[at].edges {
		if e.letter == letter {
			return e.to
		}
	}
	return dead
}

func (n *Names) ends(at state) bool { return at != dead && n.nodes[at].field >= 0 }

// Find returns the index of the field that some server may take the name for.
func (n *Names) Find(name string) (field int, found bool) {
	at, hit, _ := n.read(0, name)
	if hit {
		return n.nodes[at].field, true
	}
	return 0, false
}

// read reads a name from a state on. hit is true if the name is a field's, or
// leads into one: user_id[], user_id.x, a[user_id]x, of which PHP drops the x,
// and user_id before a NUL, where some end a text. end is the position of the mark
// after the field, or -1 if the name ends with the field.
func (n *Names) read(from state, name string) (at state, hit bool, end int) {
	s := speller{names: n, at: from, before: from}
	for i := 0; i < len(name) && !s.lost(); i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
			s.letter(rune(c))
		case c >= 'A' && c <= 'Z':
			s.letter(rune(c) + 'a' - 'A')
		case c >= '0' && c <= '9':
			s.digit(rune(c))
		case c < utf8.RuneSelf:
			if s.mark(c) {
				return s.at, true, i
			}
		default:
			r, size := utf8.DecodeRuneInString(name[i:])
			i += size - 1
			if s.wide(r) {
				return s.at, true, i
			}
		}
	}
	s.endWord()
	return s.at, n.ends(s.at), -1
}

// speller reads the letters and digits of one name. A word of digits alone is a
// position in a list, and doesn't count.
type speller struct {
	names  *Names
	at     state
	before state // where the word began
	inWord bool
	words  bool // the word has a letter
}

// lost reports that no field can be reached any more.
func (s *speller) lost() bool { return s.at == dead && (s.words || s.before == dead) }

func (s *speller) letter(c rune) {
	s.digit(c)
	s.words = true
}

func (s *speller) digit(c rune) {
	if !s.inWord {
		s.inWord, s.before = true, s.at
	}
	s.at = s.names.step(s.at, c)
}

func (s *speller) endWord() {
	if s.inWord && !s.words {
		s.at = s.before
	}
	s.inWord, s.words = false, false
}

// mark ends a word. It reports that a field ends here, and what follows is an
// element of it or its end.
func (s *speller) mark(c byte) bool {
	s.endWord()
	return (c == '.' || c == '[' || c == ']' || c == 0) && s.names.ends(s.at)
}

func (s *speller) wide(r rune) bool {
	var b [maxSpelled]rune
	list := b[:0]
	if r < shortRunes {
		list = shortSpelled[r]
	} else {
		list = spelled(list, r)
	}
	for _, c := range list {
		switch {
		case c >= '0' && c <= '9':
			s.digit(c)
		case c >= utf8.RuneSelf || c >= 'a' && c <= 'z':
			s.letter(c)
		default:
			if s.mark(byte(c)) {
				return true
			}
		}
	}
	return false
}

// shortRunes is the end of the characters of two bytes. A name can have most of
// them, so they are looked up.
const shortRunes = 0x800

var shortSpelled = func() (all [shortRunes][]rune) {
	for r := range rune(shortRunes) {
		all[r] = spelled(nil, r)
	}
	return all
}()

// maxSpelled is the length of the longest decomposition, that of U+FDFA.
const maxSpelled = 18

// spelled appends the folded letters, the digits and the ASCII punctuation that
// a character stands for.
func spelled(to []rune, r rune) []rune {
	switch r {
	case 'ı': // an i to those who compare in upper case
		return append(to, 'i')
	case 'ß', 'ẞ':
		return append(to, 's', 's')
	case utf8.RuneError, '\u00ad':
		return to
	}
	if r < utf8.RuneSelf {
		return append(to, unicode.ToLower(r))
	}
	var b [utf8.UTFMax]byte
	d := norm.NFKD.Properties(b[:utf8.EncodeRune(b[:], r)]).Decomposition()
	if d == nil {
		return appendFolded(to, r)
	}
	for len(d) > 0 {
		c, size := utf8.DecodeRune(d)
		d = d[size:]
		to = appendFolded(to, c)
	}
	return to
}

func appendFolded(to []rune, c rune) []rune {
	switch {
	case c < utf8.RuneSelf:
		return append(to, unicode.ToLower(c))
	case unicode.IsLetter(c) || unicode.IsNumber(c):
		return append(to, foldedLetter(c))
	}
	return to
}

// foldedLetter returns the same letter for all that differ in case alone: the
// long s is an s, the Kelvin sign a k.
func foldedLetter(c rune) rune {
	least := c
	for other := unicode.SimpleFold(c); other != c; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return unicode.ToLower(least)
}

// Letters returns the letters and digits of a name, folded, by which names are
// compared.
func Letters(name string) string {
	var all, word strings.Builder
	words := false
	end := func() {
		if words {
			all.WriteString(word.String())
		}
		word.Reset()
		words = false
	}
	for _, r := range name {
		for _, c := range spelled(nil, r) {
			switch {
			case c >= utf8.RuneSelf || c >= 'a' && c <= 'z':
				word.WriteRune(c)
				words = true
			case c >= '0' && c <= '9':
				word.WriteRune(c)
			default:
				end()
			}
		}
	}
	end()
	return all.String()
}

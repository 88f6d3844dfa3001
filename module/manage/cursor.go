package manage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// cursors turn a record's place in one list into a text, and back. Places count
// what all tenants create, so the text is encrypted: it is one AES block of the
// place and a mark of the list. To a client the text looks random, and it is
// refused in other lists. Forged texts are refused too.
type cursors struct {
	block cipher.Block
	list  [8]byte
	// everyone is true for the list of the keys of all users, whose places are
	// a [place] each.
	everyone bool
}

// cursors returns the cursors of the list that the call answers.
func (r *request) cursors() cursors {
	key := r.api.Directory.Secret("list cursors")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	mark := sha256.Sum256([]byte(r.pattern + "\x00" + r.user() + "\x00" + r.app().AppID))
	return cursors{block: block, list: [8]byte(mark[:])}
}

// of returns the cursors of another list of the same call.
func (c *cursors) of(list string) cursors {
	mark := sha256.Sum256(append(c.list[:len(c.list):len(c.list)], list...))
	return cursors{block: c.block, list: [8]byte(mark[:])}
}

func (c *cursors) seal(seq uint64) string {
	block := binary.BigEndian.AppendUint64(c.list[:len(c.list):len(c.list)], seq)
	c.block.Encrypt(block, block)
	return base64.RawURLEncoding.EncodeToString(block)
}

func (c *cursors) open(text string) (seq uint64, ok bool) {
	block, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(block) != aes.BlockSize {
		return 0, false
	}
	c.block.Decrypt(block, block)
	return binary.BigEndian.Uint64(block[8:]), [8]byte(block) == c.list
}

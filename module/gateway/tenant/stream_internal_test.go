package tenant

import (
	"bytes"
	"io"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// countedReads counts how often a body is read, and how often it is handed on.
type countedReads struct {
	io.Reader
	reads int
}

func (c *countedReads) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// Small messages that came together are handed on together: a read and a write
// for each of 200,000 would cost a second of processor time.
func TestSmallMessagesAreHandedOnTogether(t *testing.T) {
	o := testPlaces(t)
	for name, message := range map[string][]byte{"empty": frame(0, nil), "with names": frame(0, userApp("alice", "shop"))} {
		t.Run(name, func(t *testing.T) {
			sent := bytes.Repeat(message, 1<<20/len(message))
			in := &countedReads{Reader: bytes.NewReader(sent)}
			m := messagesOf(o, nil)
			m.body = io.NopCloser(in)
			checks := 0
			m.check = func(policy.Named) bool { checks++; return true }
			out := &countedReads{Reader: m}
			var got bytes.Buffer
			if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, out, make([]byte, 32<<10)); err != nil || !bytes.Equal(got.Bytes(), sent) {
				t.Fatalf("error %v, %d of %d bytes", err, got.Len(), len(sent))
			}
			if most := 2 * len(sent) / readAtLeast; in.reads > most || out.reads > most || checks > 1 {
				t.Errorf("%d reads, %d of them handed on, %d checks; want no more than %d, and one check", in.reads, out.reads, checks, most)
			}
		})
	}
}

// Nothing is looked into once the request has ended.
func TestMessagesEndWithTheirRequest(t *testing.T) {
	o := testPlaces(t)
	m := messagesOf(o, bytes.Repeat(frame(0, nil), 10))
	done := make(chan struct{})
	close(done)
	m.done = done
	if got, err := io.ReadAll(m); err != io.ErrUnexpectedEOF || len(got) > 0 {
		t.Errorf("read %d bytes, error %v", len(got), err)
	}
}

// A message that does not come whole holds nothing up that came before it.
func TestMessagesDoNotWaitForTheNext(t *testing.T) {
	o := testPlaces(t)
	client, server := io.Pipe()
	defer server.Close()
	m := messagesOf(o, nil)
	m.body = client
	first := frame(0, userApp("alice", "shop"))
	go func() { _, _ = server.Write(append(bytes.Clone(first), first[:7]...)) }()
	got := make([]byte, 1000)
	if n, err := m.Read(got); err != nil || !bytes.Equal(got[:n], first) {
		t.Errorf("read %x, error %v", got[:n], err)
	}
}

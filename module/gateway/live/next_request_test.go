package live

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A request that is ended when its answer is whole already takes its
// connection along: nobody else's request on it is ended with it.
func TestEndingSparesTheNextRequest(t *testing.T) {
	server := gatetest.StartStreaming(t)
	other := server.Session("alice")
	for range 150 {
		text, id := gatetest.NewStreamKey(server)
		conn := server.Dial("")
		in := bufio.NewReader(conn)
		ask := func(credential string) (int, error) {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Key %s\r\n\r\n", gatetest.StreamPath, credential)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return 0, err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode, err
		}
		revoked := make(chan error, 1)
		go func() {
			revoked <- server.Directory().Update(t.Context(), gatetest.Operator, func(tx *keys.Tx) error { return tx.Revoke(id, "leaked") })
		}()
		status, err := ask(text)
		if e := gatetest.Receive(t, revoked, "the revocation"); e != nil {
			t.Fatal(e)
		}
		if status == 200 && err == nil {
			if status, err := ask(other); err == nil && status != 200 {
				t.Fatalf("another's request on the connection is answered %d", status)
			}
		}
		conn.Close()
	}
}

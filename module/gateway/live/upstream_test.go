package live

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

func (s *liveServer) serveHTTP(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(s.play), Protocols: protocols, ReadHeaderTimeout: gatetest.Deadline}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// play is the upstream's side of a request, of the kind that it names.
func (s *liveServer) play(w http.ResponseWriter, r *http.Request) {
	p := s.side(r.Header.Get("Part"))
	if p == nil {
		fmt.Fprint(w, "reached")
		return
	}
	err := p.play(w, r)
	p.leftAt = time.Now()
	p.left <- err
}

func (p *upstreamSide) play(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	wait := func() error {
		close(p.ready)
		select {
		case <-p.finish:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	say := func(text string) error {
		_, err := io.WriteString(w, text)
		return errors.Join(err, rc.Flush())
	}
	switch kind := r.Header.Get("Kind"); kind {
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
		if err := say("data: first\n\n"); err != nil {
			return err
		}
		if err := wait(); err != nil {
			return err
		}
		return say("data: last\n\n")
	case "poll":
		if err := wait(); err != nil {
			return err
		}
		return say("answer")
	case "upload":
		if _, err := io.ReadFull(r.Body, make([]byte, len("first"))); err != nil {
			return err
		}
		close(p.ready)
		rest, err := io.ReadAll(r.Body)
		if err == nil && strings.Trim(string(rest), ".") != "last" {
			err = fmt.Errorf("the upload goes on with %q", rest)
		}
		return err
	case "duplex":
		if err := errors.Join(rc.EnableFullDuplex(), say("first")); err != nil {
			return err
		}
		close(p.ready)
		_, err := io.Copy(w, r.Body)
		return err
	case "download", "blocked":
		return p.write(w, kind == "blocked")
	case "websocket":
		conn, buf, err := rc.Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\nfirst", r.Header.Get("Sec-WebSocket-Key"))
		if err := buf.Flush(); err != nil {
			return err
		}
		close(p.ready)
		text, err := buf.ReadString('.')
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		return err
	default:
		return fmt.Errorf("nothing is called %s", kind)
	}
}

// write writes without end: as much as nobody reads, or a little again and
// again.
func (p *upstreamSide) write(w http.ResponseWriter, asMuch bool) error {
	chunk, pause := make([]byte, 1<<10), time.NewTicker(time.Millisecond)
	defer pause.Stop()
	if asMuch {
		chunk = make([]byte, 64<<10)
		pause.Reset(time.Nanosecond)
	}
	for n := 0; ; n++ {
		select {
		case <-p.finish:
			return nil
		case <-pause.C:
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		p.progress.Add(int64(len(chunk)))
		if n == 0 && !asMuch {
			close(p.ready)
		}
	}
}

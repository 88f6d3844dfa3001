package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// serveGRPC is the upstream of gRPC calls.
func (s *liveServer) serveGRPC(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		p := s.side(md.Get("part")[0])
		err := p.playCall(stream, md.Get("kind")[0])
		p.leftAt = time.Now()
		p.left <- err
		return err
	}))
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return ln.Addr().String()
}

func (p *upstreamSide) playCall(stream grpc.ServerStream, kind string) error {
	if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
		return err
	}
	if kind != "gRPC both ways" {
		if err := stream.RecvMsg(new(emptypb.Empty)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("a second message, or %w", err)
		}
	}
	if kind != "gRPC before the answer" {
		if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
			return err
		}
	}
	close(p.ready)
	select {
	case <-p.finish:
		return stream.SendMsg(new(emptypb.Empty))
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

func (s *liveServer) openCall(t *testing.T, c *liveClient, kind string, as keyUse) *liveRequest {
	t.Helper()
	if c.calls == nil {
		address, creds := s.Addr, insecure.NewCredentials()
		if c.protocol == "h2" {
			address, creds = s.tlsAddr, credentials.NewClientTLSFromCert(s.roots, "localhost")
		}
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			c.dials.Add(1)
			return net.Dial("tcp", address)
		}))
		if err != nil {
			t.Fatal(err)
		}
		c.t.Cleanup(func() { conn.Close() })
		c.calls = conn
	}
	name, p := s.newSide()
	r := &liveRequest{upstreamSide: p, ended: make(chan error, 1), well: func() { close(p.finish) }}
	ctx, cancel := context.WithTimeout(t.Context(), gatetest.Deadline)
	t.Cleanup(cancel)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Key "+as.text, "part", name, "kind", kind)
	stream, err := c.calls.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: kind == "gRPC both ways"}, "/test.Live/Call")
	if err != nil {
		t.Fatal(err)
	}
	request := new(emptypb.Empty)
	request.ProtoReflect().SetUnknown(gatetest.UserApp(as.owner, as.app))
	want := 2
	if kind == "gRPC before the answer" {
		want = 1
	}
	go func() {
		err := stream.SendMsg(request)
		if errors.Is(err, io.EOF) {
			err = nil // RecvMsg says why
		}
		if kind != "gRPC both ways" {
			err = errors.Join(err, stream.CloseSend())
		}
		got := 0
		for err == nil {
			if err = stream.RecvMsg(new(emptypb.Empty)); err == nil {
				got++
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
			if got != want {
				err = fmt.Errorf("%d messages, want %d", got, want)
			}
		}
		r.end(err)
	}()
	return r
}

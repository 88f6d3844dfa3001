package grpctest

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// grpcUpstream is the gRPC server behind the gate.
type grpcUpstream struct {
	addr string
	mu   sync.Mutex
	all  []*grpcRequest
}

// grpcRequest is what the server saw of a call.
type grpcRequest struct {
	method   string
	metadata metadata.MD
	timeout  time.Duration // to its deadline, 0 where it has none
	ended    chan struct{} // closed when the server has left it
}

func newGRPCUpstream(t *testing.T) *grpcUpstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &grpcUpstream{addr: ln.Addr().String()}
	server := grpc.NewServer(grpc.UnknownServiceHandler(s.serve), grpc.MaxRecvMsgSize(64<<20))
	go func() {
		if err := server.Serve(ln); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(server.Stop)
	return s
}

// serve answers every message, as the method's kind is. The metadata may ask
// for a status behind the answers or without any (test-status), or that it
// waits to be ended, behind the first answer (test-hold) or without any
// (test-silent).
func (s *grpcUpstream) serve(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	call := &grpcRequest{ended: make(chan struct{})}
	defer close(call.ended)
	call.method, _ = grpc.MethodFromServerStream(stream)
	call.metadata, _ = metadata.FromIncomingContext(ctx)
	if end, ok := ctx.Deadline(); ok {
		call.timeout = time.Until(end)
	}
	silent := len(call.metadata["test-silent"]) > 0
	alone := slices.Contains(call.metadata["test-status"], "alone")
	for silent || alone {
		// To the end, so that Caddy reads no more of the request: its Close is
		// no match for a read at that moment, as the race detector finds.
		if err := stream.RecvMsg(new(emptypb.Empty)); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.all = append(s.all, call)
	s.mu.Unlock()

	if alone {
		return exhausted() // of trailers only
	}
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := stream.SetHeader(metadata.Pairs("from", "upstream", "from-bin", "\x00\xff,")); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("after", "upstream", "after-bin", "\x00\xff,"))
	answers := 1
	if call.method == clarifaiService+serverStream {
		answers = answersPerMessage
	}
	for n := 0; ; {
		in := new(emptypb.Empty)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		for range answers {
			n++
			out := new(emptypb.Empty)
			out.ProtoReflect().SetUnknown(newAnswer(n, sumOf(in.ProtoReflect().GetUnknown())))
			if err := stream.SendMsg(out); err != nil {
				return err
			}
			if len(call.metadata["test-hold"]) > 0 {
				<-ctx.Done()
				return ctx.Err()
			}
		}
	}
	if len(call.metadata["test-status"]) > 0 {
		return exhausted()
	}
	return nil
}

// exhausted is a status with all that one can have.
func exhausted() error {
	s, err := status.New(codes.ResourceExhausted, "upstream: 100 % ü\nenough").WithDetails(&errdetails.ErrorInfo{Reason: "UPSTREAM", Domain: "upstream"})
	if err != nil {
		return err
	}
	return s.Err()
}

func (s *grpcUpstream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *grpcUpstream) last() *grpcRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[len(s.all)-1]
}

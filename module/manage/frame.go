package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// frame answers a call of the table. It does what calls have in common: it reads
// the input, opens the transaction, and runs the call's own function in it. That
// function builds a new answer each time, so nothing of an earlier run remains if
// the transaction runs again.
type frame struct {
	body  bodyKind
	serve func(*request) (*Answer, error)
}

// nothing is the input of a call without input.
type nothing struct{}

// input reads and checks the input of a call, before any transaction.
type input[T any] struct {
	body bodyKind
	// maxBody is the largest body of this call, if it is larger than that of
	// the other calls.
	maxBody int64
	// parse reads the body. It keeps errors in the object.
	parse func(*object) T
	// checks run in order on the parsed input, and may complete it.
	checks []func(*request, *T) error
}

// bodyOf is the input of a call that requires a body.
func bodyOf[T any](parse func(*object) T) input[T] {
	return input[T]{body: requiredBody, parse: parse}
}

// optionalBodyOf is the input of a call whose body may be empty.
func optionalBodyOf[T any](parse func(*object) T) input[T] {
	return input[T]{body: optionalBody, parse: parse}
}

// then adds a check that needs the request.
func (in input[T]) then(check func(*request, *T) error) input[T] {
	in.checks = append(slices.Clip(in.checks), check)
	return in
}

// upTo allows a larger body than other calls do.
func (in input[T]) upTo(maxBody int64) input[T] {
	in.maxBody = maxBody
	return in
}

// of reads the input of one request.
func (in input[T]) of(r *request) (v T, err error) {
	o, err := r.object(in.body, in.maxBody)
	if err != nil {
		return v, err
	}
	if in.parse != nil {
		v = in.parse(o)
	}
	if err := o.end(); err != nil {
		return v, err
	}
	for _, check := range in.checks {
		if err := check(r, &v); err != nil {
			return v, err
		}
	}
	return v, nil
}

// answers is the frame of a call without input that opens its own transactions, if it
// needs any.
func answers(fn func(*request) (*Answer, error)) frame {
	return does(input[nothing]{}, func(r *request, _ nothing) (*Answer, error) { return fn(r) })
}

// does is the frame of a call that opens its own transactions, if any.
func does[T any](in input[T], fn func(*request, T) (*Answer, error)) frame {
	return frame{body: in.body, serve: func(r *request) (*Answer, error) {
		v, err := in.of(r)
		if err != nil {
			return nil, err
		}
		return fn(r, v)
	}}
}

// reads is the frame of a call without input that reads the store.
func reads(fn func(*request, keys.Reader) (*Answer, error)) frame {
	return readsBy(input[nothing]{}, alone(fn))
}

// lists is the frame of a call that answers one page of a list.
func lists(fn func(*request, keys.Reader, page) (*Answer, error)) frame {
	return readsBy(input[page]{}.then((*request).readPage), fn)
}

// readsBy is the frame of a call with input that reads the store.
func readsBy[T any](in input[T], fn func(*request, keys.Reader, T) (*Answer, error)) frame {
	return does(in, func(r *request, v T) (answer *Answer, err error) {
		err = r.view(func(from keys.Reader) (err error) {
			answer, err = fn(r, from, v)
			return err
		})
		return answer, err
	})
}

// changes is the frame of a call that makes one change: all of it or nothing.
func changes[T any](in input[T], fn func(*request, *keys.Tx, T) (*Answer, error)) frame {
	return changesBy(in, func(*request, T) (bool, error) { return false, nil }, fn)
}

// changesFirst is the frame of a change that revokes or restricts. It runs before
// changes that don't.
func changesFirst[T any](in input[T], fn func(*request, *keys.Tx, T) (*Answer, error)) frame {
	return changesBy(in, func(*request, T) (bool, error) { return true, nil }, fn)
}

// removes is the frame of a call without input that revokes or removes.
func removes(fn func(*request, *keys.Tx) (*Answer, error)) frame {
	return changesFirst(input[nothing]{}, alone(fn))
}

// changesBy is the frame of a change whose input decides whether it restricts, and
// so runs first.
func changesBy[T any](in input[T], restricts func(*request, T) (bool, error), fn func(*request, *keys.Tx, T) (*Answer, error)) frame {
	return does(in, func(r *request, v T) (answer *Answer, err error) {
		first, err := restricts(r, v)
		if err != nil {
			return nil, err
		}
		err = r.changeBy(first, func(tx *keys.Tx) (err error) {
			answer, err = fn(r, tx, v)
			return err
		})
		return answer, err
	})
}

// alone adapts the function of a call without input.
func alone[S any](fn func(*request, S) (*Answer, error)) func(*request, S, nothing) (*Answer, error) {
	return func(r *request, s S, _ nothing) (*Answer, error) { return fn(r, s) }
}

// usersOnly refuses the operator, who has no account.
func usersOnly(f frame) frame {
	return frame{body: f.body, serve: func(r *request) (*Answer, error) {
		if err := r.notOperator(); err != nil {
			return nil, err
		}
		return f.serve(r)
	}}
}

// byCaller has one frame for the operator and another for users.
func byCaller(operator, user frame) frame {
	body := user.body
	if operator.body != body {
		body = optionalBody
	}
	return frame{body: body, serve: func(r *request) (*Answer, error) {
		if r.caller.Operator {
			return operator.serve(r)
		}
		return user.serve(r)
	}}
}

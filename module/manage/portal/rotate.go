package portal

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// graces are how long the old key may still work after a rotation. The first is
// the default, and 0 revokes the old key.
var graces = []struct {
	Label string
	is    time.Duration
}{
	{"In 24 hours", aDay}, {"In an hour", time.Hour}, {"In 7 days", 7 * aDay}, {"Now", 0},
}

// endNow is the end of an old key that is revoked.
const endNow = "now"

// rotatePage asks how a key is replaced.
type rotatePage struct {
	*keyPage
	Ends []oldEnd
	// End is the chosen one of Ends.
	End string
	// Expires and Date are the chosen expiry of the new key, as in [keyForm].
	Expires, Date string
	Lives         []life
	Problem       *manage.Status
}

// oldEnd is a choice of when the old key ends.
type oldEnd struct {
	// Value is the exact time, or [endNow].
	Value, Label string
	At           time.Time
}

func (v *visit) rotatePage() (*rotatePage, error) {
	p, err := v.key()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	page := &rotatePage{keyPage: p, Expires: "keep", Lives: lives}
	if p.Expired() {
		page.Expires = "90d"
	} else {
		label := "Never, as the old one"
		if p.Key.ExpiresAt != nil {
			label = "When the old one would: " + p.Key.ExpiresAt.UTC().Format(exactly)
		}
		page.Lives = slices.Concat([]life{{"keep", label, 0}}, lives)
		if p.Key.ExpiresAt == nil {
			page.Lives = slices.DeleteFunc(page.Lives, func(l life) bool { return l.Name == "never" })
		}
	}
	for _, g := range graces {
		end := oldEnd{endNow, g.Label, time.Time{}}
		if g.is > 0 {
			at := now.Add(g.is)
			end.Value, end.At = at.Format(time.RFC3339), at
		}
		page.Ends = append(page.Ends, end)
	}
	page.End = page.Ends[0].Value
	return page, nil
}

// Expired reports whether the key has expired.
func (p *keyPage) Expired() bool { return p.State == manage.StandingExpired }

// EndsBefore reports whether the old key expires before a time anyway.
func (p *rotatePage) EndsBefore(at time.Time) bool {
	return !at.IsZero() && p.Key.ExpiresAt != nil && p.Key.ExpiresAt.Before(at)
}

func (v *visit) askRotate() error {
	p, err := v.rotatePage()
	if err != nil {
		return err
	}
	return v.showRotate(http.StatusOK, p)
}

func (v *visit) showRotate(status int, p *rotatePage) error {
	return v.show(status, "rotate", "Rotate "+titleOf(p.Key), p)
}

func (v *visit) rotateKey() error {
	p, err := v.rotatePage()
	if err != nil {
		return err
	}
	in := v.r.PostForm
	p.End, p.Expires, p.Date = in.Get("end"), in.Get("expires"), in.Get("date")
	body, ends, wrong := p.body(time.Now())
	if wrong != nil {
		p.Problem = wrong
		return v.showRotate(http.StatusBadRequest, p)
	}
	a, err := v.do(http.MethodPost, mine("keys", p.Key.KeyID, "rotate"), body)
	if no, ok := problems(err); ok {
		p.Problem = no
		return v.showRotate(no.Code.HTTP(), p)
	}
	if err != nil {
		return err
	}
	return v.handOver(a.Key, "Your new "+p.What(), p.note(ends))
}

// body returns the request to the API, and when the old key ends. The zero time is
// at once.
func (p *rotatePage) body(now time.Time) (body map[string]any, ends time.Time, wrong *manage.Status) {
	body = map[string]any{}
	if p.End != endNow {
		var err error
		ends, err = time.Parse(time.RFC3339, p.End)
		if err != nil || !ends.After(now) {
			// Keep the form usable with the times of now.
			p.End = p.Ends[0].Value
			return nil, ends, &manage.Status{Field: "grace", Details: "This time has passed by now. Choose again when the old one ends."}
		}
		body["grace"] = ends.Sub(now).String()
		if !slices.ContainsFunc(p.Ends, func(e oldEnd) bool { return e.Value == p.End }) {
			p.Ends = slices.Concat([]oldEnd{{p.End, "As chosen", ends}}, p.Ends)
		}
	}
	f := keyForm{Expires: p.Expires, Date: p.Date}
	at, wrong := f.expiry()
	switch {
	case wrong != nil:
		return nil, ends, wrong
	case !at.IsZero():
		body["expires_at"] = at.UTC().Format(time.RFC3339)
	case p.Expires == "never":
		body["expires_at"] = nil
	}
	return body, ends, nil
}

// note tells what became of the old key, and in which state the new one is.
func (p *rotatePage) note(ends time.Time) string {
	note := "The old " + p.What() + " is refused from now on."
	switch {
	case p.Expired():
		note = "The old " + p.What() + " had expired, and is revoked now."
	case ends.IsZero():
	case p.EndsBefore(ends):
		note = "The old " + p.What() + " works until it expires: " + p.Key.ExpiresAt.UTC().Format(exactly) + "."
	default:
		note = "The old " + p.What() + " works until " + ends.UTC().Format(exactly) + ". Replace it with the new one by then."
	}
	if p.Key.Disabled {
		note = "Both are disabled. Enable the new " + p.What() + " on its page when you need it."
	}
	return note
}

// rotation is what a key was rotated from and to.
type rotation struct {
	From, To string
	// At is when the key was rotated to the other one. It is nil if that is gone.
	At *time.Time
	// Gone is true if the other one was revoked.
	Gone bool
}

// rotationOf looks up what a key was rotated from and to.
func (v *visit) rotationOf(k *manage.Key) (*rotation, error) {
	if k.RotatedFrom == "" && k.RotatedTo == "" {
		return nil, nil
	}
	r := &rotation{From: k.RotatedFrom, To: k.RotatedTo}
	if r.To == "" {
		return r, nil
	}
	a, err := v.get("/v2/users/me/keys/" + url.PathEscape(r.To))
	if no, ok := problems(err); ok && no.Code == manage.CodeNotFound {
		r.Gone = true
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.At = &a.Key.CreatedAt
	return r, nil
}

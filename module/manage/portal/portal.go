// Package portal serves the web pages of the management API, where people sign in,
// and make and revoke their keys. It is a client of the API like any other, and can
// do nothing that the API refuses.
//
// Pages are made on the server and work without JavaScript. One script makes some
// of them more convenient.
package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// Call calls the management API like a client, with or without a credential. from
// is the browser's request that causes the call. An error means that the API could
// not be called. A refusal is in the answer's status.
type Call func(from *http.Request, credential, method, target string, body any) (*manage.Answer, error)

// Config is what a portal is made of.
type Config struct {
	// Base is the path that the pages stand under, such as /portal.
	Base string
	// API is the path of the management API for users of keys.
	API string
	// Brand is the operator's name, logo and color.
	Brand Brand
	// Call calls the management API.
	Call Call
	// SignIn calls the API's calls that sign users in step by step, or reset a
	// forgotten password.
	SignIn Call
	// Operate calls the API as the operator, for users with the operator's role.
	Operate Call
	// Sites returns what can be called with keys. It may be nil.
	Sites func() []authz.Site
	// Failed is called with internal failures, because the pages don't show
	// their causes.
	Failed func(*http.Request, error)
}

// Portal serves the pages. [New] makes one.
type Portal struct {
	base  string
	api   string
	brand Brand
	call  Call
	// signIn is for the pages of the sign-in.
	signIn Call
	// operate is for the operator's pages.
	operate Call
	sites   func() []authz.Site
	failed  func(*http.Request, error)
	mux     *http.ServeMux
	forms   *forms
	// cross refuses requests that pages of other sites make a browser send.
	cross http.CrossOriginProtection
}

// New makes a portal.
func New(c Config) *Portal {
	templates()
	p := &Portal{base: c.Base, api: c.API, brand: c.Brand, call: c.Call, signIn: c.SignIn, operate: c.Operate, sites: c.Sites, failed: c.Failed, mux: http.NewServeMux(), forms: &allForms}
	if p.sites == nil {
		p.sites = func() []authz.Site { return nil }
	}
	p.mux.HandleFunc("GET "+p.base+"/assets/{version}/{name}", p.asset)
	for _, pg := range pages {
		p.mux.HandleFunc(pg.method+" "+p.base+pg.path, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, pg) })
	}
	return p
}

// Owns reports whether a path belongs to the portal.
func (p *Portal) Owns(path string) bool {
	return path == p.base || strings.HasPrefix(path, p.base+"/")
}

// page answers requests of a method and path.
type page struct {
	method, path string
	serve        func(*visit) error
	// open is true if nobody needs to be signed in.
	open bool
	// once is true if the form of an open page can make its change only once.
	once bool
	// steps is true if the form has several steps. Users may go back, so only the
	// last step uses up the token.
	steps bool
}

// pages are all pages. Every change is a POST with the one-time token of its form.
var pages = []page{
	{method: "GET", path: "/{$}", serve: (*visit).home},
	{method: "GET", path: "/signin", serve: (*visit).showSignIn, open: true},
	{method: "POST", path: "/signin", serve: (*visit).signIn, open: true},
	{method: "GET", path: "/signin/code", serve: (*visit).askCode, open: true},
	{method: "POST", path: "/signin/code", serve: (*visit).signInByCode, open: true, once: true},
	{method: "GET", path: manage.ResetPath, serve: (*visit).askReset, open: true},
	{method: "POST", path: manage.ResetPath, serve: (*visit).resetPassword, open: true, once: true},
	{method: "POST", path: "/signout", serve: (*visit).signOut},

	{method: "GET", path: "/apps", serve: (*visit).listApps},
	{method: "POST", path: "/apps", serve: (*visit).createApp},
	{method: "GET", path: "/apps/{app}", serve: (*visit).showApp},
	{method: "GET", path: "/apps/{app}/new", serve: (*visit).newKey},
	{method: "POST", path: "/apps/{app}/new", serve: (*visit).createKey, steps: true},
	{method: "POST", path: "/apps/{app}/revoke", serve: (*visit).revokeSeveral, steps: true},
	{method: "GET", path: "/apps/{app}/collaborators", serve: (*visit).listCollaborators},
	{method: "GET", path: "/apps/{app}/collaborators/new", serve: (*visit).editCollaborator},
	{method: "POST", path: "/apps/{app}/collaborators/new", serve: (*visit).saveCollaborator, steps: true},
	{method: "POST", path: "/apps/{app}/collaborators/remove", serve: (*visit).removeCollaborator},
	{method: "GET", path: "/apps/{app}/collaborators/of/{user}/remove", serve: (*visit).askRemoveCollaborator},
	{method: "GET", path: "/apps/{app}/collaborators/of/{user}", serve: (*visit).editCollaborator},
	{method: "POST", path: "/apps/{app}/collaborators/of/{user}", serve: (*visit).saveCollaborator, steps: true},
	{method: "GET", path: "/apps/{app}/settings", serve: (*visit).showSettings},
	{method: "POST", path: "/apps/{app}/settings", serve: (*visit).changeApp},
	{method: "POST", path: "/apps/{app}/delete", serve: (*visit).deleteApp},

	{method: "GET", path: "/tokens", serve: (*visit).listTokens},
	{method: "GET", path: "/tokens/new", serve: (*visit).newKey},
	{method: "POST", path: "/tokens/new", serve: (*visit).createKey, steps: true},
	{method: "POST", path: "/tokens/revoke", serve: (*visit).revokeSeveral, steps: true},

	{method: "GET", path: "/keys", serve: (*visit).listAllKeys},
	{method: "GET", path: "/keys/download", serve: (*visit).downloadKeys},
	{method: "POST", path: "/keys/revoke", serve: (*visit).revokeOfAll, steps: true},
	{method: "GET", path: "/leaked", serve: (*visit).askLeaked},
	{method: "POST", path: "/leaked", serve: (*visit).leaked, steps: true},
	{method: "GET", path: "/leaked/done", serve: (*visit).reportLeaked},
	{method: "GET", path: "/keys/{key}", serve: (*visit).showKey},
	{method: "GET", path: "/keys/{key}/secret", serve: (*visit).showSecret},
	{method: "GET", path: "/keys/{key}/change", serve: (*visit).editKey},
	{method: "POST", path: "/keys/{key}/change", serve: (*visit).changeKey, steps: true},
	{method: "POST", path: "/keys/{key}/ask", serve: (*visit).askKey, steps: true},
	{method: "POST", path: "/keys/{key}/grant", serve: (*visit).grantKey},
	{method: "POST", path: "/keys/{key}/grant-refused", serve: (*visit).grantRefused},
	{method: "POST", path: "/keys/{key}/disable", serve: (*visit).disableKey},
	{method: "POST", path: "/keys/{key}/enable", serve: (*visit).enableKey},
	{method: "GET", path: "/keys/{key}/rotate", serve: (*visit).askRotate},
	{method: "POST", path: "/keys/{key}/rotate", serve: (*visit).rotateKey},
	{method: "GET", path: "/keys/{key}/revoke", serve: (*visit).askRevoke},
	{method: "POST", path: "/keys/{key}/revoke", serve: (*visit).revokeKey},

	{method: "GET", path: "/kept/{id}", serve: (*visit).showKept},
	{method: "GET", path: "/shared", serve: (*visit).listShared},
	{method: "GET", path: "/shared/leave", serve: (*visit).askLeave},
	{method: "POST", path: "/shared/leave", serve: (*visit).leave},
	{method: "GET", path: "/audit", serve: (*visit).showAudit},
	{method: "GET", path: "/account", serve: (*visit).showAccount},
	{method: "POST", path: "/account/password", serve: (*visit).changePassword},
	{method: "GET", path: "/account/factor", serve: (*visit).setUpFactor},
	{method: "GET", path: "/account/codes", serve: (*visit).showCodes},
	{method: "POST", path: "/account/factor", serve: (*visit).beginFactor},
	{method: "POST", path: "/account/factor/on", serve: (*visit).enableFactor},
	{method: "POST", path: "/account/factor/off", serve: (*visit).removeFactor},
	{method: "POST", path: "/account/codes", serve: (*visit).newCodes},
	{method: "POST", path: "/account/sessions", serve: (*visit).endSessions},

	{method: "GET", path: "/operator", serve: operator((*visit).listUsers)},
	{method: "POST", path: "/operator", serve: operator((*visit).findUser)},
	{method: "GET", path: "/operator/keys", serve: operator((*visit).listKeysOfAll)},
	{method: "GET", path: "/operator/keys/download", serve: operator((*visit).downloadKeysOfAll)},
	{method: "GET", path: "/operator/keys/{key}", serve: operator((*visit).showKeyOfAll)},
	{method: "GET", path: "/operator/plans", serve: operator((*visit).listPlans)},
	{method: "GET", path: "/operator/users/{user}", serve: operator((*visit).showUser)},
	{method: "POST", path: "/operator/users/{user}/suspend", serve: operator((*visit).suspendUser)},
	{method: "POST", path: "/operator/users/{user}/resume", serve: operator((*visit).resumeUser)},
	{method: "POST", path: "/operator/users/{user}/sessions", serve: operator((*visit).endSessionsOf)},
	{method: "POST", path: "/operator/users/{user}/revoke", serve: operator((*visit).revokeOfUser), steps: true},
	{method: "GET", path: "/operator/users/{user}/plan", serve: operator((*visit).showPlan)},
	{method: "POST", path: "/operator/users/{user}/plan", serve: operator((*visit).changePlan)},
	{method: "GET", path: "/operator/users/{user}/apps/{app}/plan", serve: operator((*visit).showPlan)},
	{method: "POST", path: "/operator/users/{user}/apps/{app}/plan", serve: operator((*visit).changePlan)},
	{method: "GET", path: "/operator/audit", serve: operator((*visit).showWholeAudit)},
}

// ServeHTTP answers a request for one of the portal's pages.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := p.cross.Check(r); err != nil {
		v := &visit{portal: p, w: w, r: r}
		v.refuse(http.StatusForbidden, "This came from another site", "A page of another site sent the request, so nothing was done. Open the portal itself, and repeat it there.")
		return
	}
	if r.URL.Path == p.base {
		http.Redirect(w, r, p.base+"/", http.StatusSeeOther)
		return
	}
	if _, pattern := p.mux.Handler(r); pattern == "" {
		(&visit{portal: p, w: w, r: r}).noPage()
		return
	}
	p.mux.ServeHTTP(w, r)
}

// protect sets the security headers of every answer: only our own style and script
// may run, no site may frame the page, and browsers must not store it.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// maxForm is the largest form that is read, in bytes.
const maxForm = 256 << 10

func (p *Portal) serve(w http.ResponseWriter, r *http.Request, pg page) {
	v := &visit{portal: p, w: w, r: r, page: pg}
	if err := v.answer(); err != nil {
		v.fail(err)
	}
}

// answer reads the form, and handles the request.
func (v *visit) answer() error {
	if v.r.Method == http.MethodPost {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil {
			return errMalformed
		}
	}
	if form, ok := v.onceForm(); ok {
		return v.handleOnce(form)
	}
	return v.handle()
}

// handle looks up the signed-in user, and serves the page.
func (v *visit) handle() error {
	if v.page.open {
		return v.page.serve(v)
	}
	if err := v.signedIn(); err != nil {
		return err
	}
	if v.r.Method == http.MethodPost && !v.first {
		// Only an earlier step of the form comes here with a good token.
		if !v.page.steps || v.lastStep() || !v.portal.forms.unused(v.session, v.r.PostForm.Get("form")) {
			return errReplayed
		}
	}
	return v.page.serve(v)
}

// lastStep reports whether this step of the form makes the change.
func (v *visit) lastStep() bool {
	step := v.r.PostForm.Get("step")
	return step != stepForm && step != stepReview && v.r.PostForm.Get("preset") == ""
}

// Errors that end a visit, in addition to those of the API.
var (
	errSignIn    = errors.New("nobody is signed in")
	errMalformed = errors.New("the form can't be read")
	errReplayed  = errors.New("the form was used already")
	errNoPage    = errors.New("there is no such page")
	// errUnfinished is the failure of a form whose page panicked.
	errUnfinished = errors.New("the form was not handled completely")
)

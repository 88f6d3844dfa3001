package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// plansPage lists the plans of the configuration.
type plansPage struct{ Plans []manage.Plan }

// HasDefault reports whether the configuration has a plan for users without another
// plan.
func (p plansPage) HasDefault() bool { return standardPlan(p.Plans) != "" }

func (v *visit) listPlans() error {
	plans, err := v.plans()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "operatorplans", "Plans", plansPage{plans})
}

// plans reads the plans of the configuration.
func (v *visit) plans() ([]manage.Plan, error) {
	a, err := v.get(mine("plans"))
	if err != nil {
		return nil, err
	}
	return a.Plans, nil
}

func hasPlan(plans []manage.Plan, name string) bool {
	_, ok := planOf(plans, name)
	return ok
}

func planOf(plans []manage.Plan, name string) (manage.Plan, bool) {
	for _, p := range plans {
		if p.Name == name {
			return p, true
		}
	}
	return manage.Plan{}, false
}

// standardPlan returns the plan of users without another plan. It may be empty.
func standardPlan(plans []manage.Plan) string {
	if hasPlan(plans, policy.DefaultPlan) {
		return policy.DefaultPlan
	}
	return ""
}

// boundsOf describes the limits of a key.
func boundsOf(k manage.Key) (list []string) {
	if k.Plan != "" {
		list = append(list, "plan "+k.Plan)
	}
	list = append(list, manage.LimitTexts(k.Limits)...)
	if len(k.Addresses) > 0 {
		list = append(list, "from "+shortList(k.Addresses))
	}
	return append(list, manage.ValueTexts(k.Resources)...)
}

// planForm changes the plan of a user, or of an application if App isn't empty.
type planForm struct {
	User, App string
	// Self is true for the plan of the signed-in user, who can't change that plan.
	Self bool
	// Name is the name of the user or the application.
	Name  string
	Plans []manage.Plan
	// Held is the saved plan, and Plan is the selected one. Either may be empty.
	Held, Plan string
	Version    uint64
	Problem    *manage.Status
	Conflict   *conflict
}

// Path is the path of the form.
func (f *planForm) Path() string {
	if f.App == "" {
		return operatorPath(f.User) + "/plan"
	}
	return operatorPath(f.User) + "/apps/" + url.PathEscape(f.App) + "/plan"
}

// Back is the path of the page of the user.
func (f *planForm) Back() string { return operatorPath(f.User) }

// Options returns the choices: no plan, the plans of the configuration, and the saved
// and selected plans if the configuration doesn't have them.
func (f *planForm) Options() []planChoice {
	list := []planChoice{{"", f.none()}}
	for _, p := range f.Plans {
		// A user without a plan has the plan default anyway.
		if f.App == "" && p.Name == policy.DefaultPlan && p.Name != f.Held && p.Name != f.Plan {
			continue
		}
		list = append(list, planChoice{p.Name, p.Name + ": " + strings.Join(planInWords(&p), ", ")})
	}
	for _, name := range slices.Compact([]string{f.Held, f.Plan}) {
		if name != "" && !hasPlan(f.Plans, name) {
			list = append(list, planChoice{name, name + ": not in the configuration"})
		}
	}
	return list
}

// none describes the choice of no plan.
func (f *planForm) none() string {
	standard, ok := planOf(f.Plans, policy.DefaultPlan)
	switch {
	case f.App != "":
		return "none: only the plan of the user applies"
	case ok:
		return "default: " + strings.Join(planInWords(&standard), ", ")
	}
	return "none: not limited"
}

// Lost reports whether the saved plan isn't in the configuration.
func (f *planForm) Lost() bool { return f.Held != "" && !hasPlan(f.Plans, f.Held) }

// Useful reports whether there is anything to choose.
func (f *planForm) Useful() bool { return len(f.Plans) > 0 || f.Held != "" }

// planForm reads the plan of the user, or of the application, that the path names.
func (v *visit) planForm() (*planForm, error) {
	f := &planForm{User: v.r.PathValue("user"), App: v.r.PathValue("app")}
	var err error
	if f.Plans, err = v.plans(); err != nil {
		return nil, err
	}
	if f.App == "" {
		a, err := v.operate(http.MethodGet, ofUser(f.User), nil)
		if err != nil {
			return nil, err
		}
		v.fillPlan(f, a.User)
	} else {
		a, err := v.operate(http.MethodGet, ofUser(f.User, "apps", f.App), nil)
		if err != nil {
			return nil, err
		}
		f.Name, f.Held, f.Version = nameOf(a.App), a.App.Plan, a.App.Version
	}
	f.Plan = f.Held
	return f, nil
}

// fillPlan fills in the form for the plan of a user.
func (v *visit) fillPlan(f *planForm, u *manage.User) {
	f.Name, f.Held, f.Version, f.Self = u.Name, u.Plan, u.Version, u.ID == v.user.ID
	if f.Name == "" {
		f.Name = u.ID
	}
	f.Plan = f.Held
}

func (v *visit) showPlan() error {
	f, err := v.planForm()
	if err != nil {
		return err
	}
	return v.showPlanForm(http.StatusOK, f)
}

func (v *visit) showPlanForm(status int, f *planForm) error {
	return v.show(status, "operatorplan", "Plan of "+f.Name, f)
}

// changePlan gives a user, or an application, the selected plan.
func (v *visit) changePlan() error {
	plan, user, app := v.r.PostForm.Get("plan"), v.r.PathValue("user"), v.r.PathValue("app")
	record := map[string]any{"plan": plan, "version": number(v.r.PostForm.Get("version"))}
	target, body := ofUser(user), map[string]any{"user": record}
	if app != "" {
		target, body = ofUser(user, "apps", app), map[string]any{"app": record}
	}
	_, err := v.operate(http.MethodPatch, target, body)
	no, ok := problems(err)
	if err != nil && (!ok || no.Code == manage.CodeNotFound) {
		return err
	}
	if !ok {
		return v.goTo(operatorPath(user), "plan-changed")
	}
	f, err := v.planForm()
	if err != nil {
		return err
	}
	f.Plan = plan
	if changedMeanwhile(no) {
		f.Conflict = &conflict{Theirs: f.Path()}
		f.Conflict.text("Plan", f.Plan, f.Held)
	} else {
		f.Problem = no
	}
	return v.showPlanForm(no.Code.HTTP(), f)
}

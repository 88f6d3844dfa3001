package portal

import "net/http"

// graces are how long the old key may still work after a rotation.
var graces = []struct{ Name, Label string }{
	{"", "Revoke it now"}, {"1h", "Keep it for an hour"}, {"24h", "Keep it for a day"}, {"168h", "Keep it for a week"},
}

func (v *visit) askRotate() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "rotate", "Rotate "+titleOf(p.Key), map[string]any{"Page": p, "Graces": graces})
}

func (v *visit) rotateKey() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	grace := v.r.PostForm.Get("grace")
	body := map[string]any{}
	if grace != "" {
		body["grace"] = grace
	}
	a, err := v.do(http.MethodPost, mine("keys", p.Key.KeyID, "rotate"), body)
	if no, ok := problems(err); ok {
		return v.showKeyWith(no.Code.HTTP(), no)
	}
	if err != nil {
		return err
	}
	page := v.secret(a.Key, p.App)
	page.Note = "The old " + p.What() + " is refused from now on."
	if grace != "" {
		page.Note = "The old " + p.What() + " works until its grace period ends. Replace it with the new one by then."
	}
	return v.show(http.StatusOK, "secret", "Your new "+p.What(), page)
}

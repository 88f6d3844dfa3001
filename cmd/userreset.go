package cmd

import "fmt"

// makeResetLink prints the link on standard output. Without the address of the
// portal it prints the path of the link.
func makeResetLink(c *call) error {
	body := map[string]string{}
	if address := c.flag("url"); address != "" {
		body["portal"] = address
	}
	text, answer, err := c.ask("POST", []string{"users", c.args[0], "reset_link"}, nil, body)
	if err != nil {
		return flagged(err, map[string]string{"user_id": c.args[0], "portal": "--url"})
	}
	link := answer.ResetLink
	where := "Give this link to the user " + c.args[0] + ":"
	address := link.URL
	if address == "" {
		where = fmt.Sprintf("Give the user %s the address of your portal with this path (--url completes it):", c.args[0])
		address = link.Path
	}
	return c.say(text, "%s\n\n    %s\n\nIt works once, until %s. If the link can't be opened, the page %q takes this code:\n\n    %s\n\nWhoever has either can set the user's password, so send it only to the user. It replaces earlier links.",
		where, address, when(link.ExpiresAt), "Forgot your password?", link.Code)
}

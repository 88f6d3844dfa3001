package portal

import "strings"

// named is a part of a user agent, and what it names.
type named struct{ mark, name string }

// The browsers and systems that pages name. The first mark that a user agent
// contains counts, because browsers also name those that they resemble.
var (
	browsers = []named{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
		{"python-requests/", "Python"},
		{"Go-http-client/", "A Go program"},
	}
	systems = []named{
		{"Windows", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	}
)

// agentName returns the browser and the device of a user agent, such as "Firefox on
// Windows".
func agentName(userAgent string) string {
	browser, system := firstOf(browsers, userAgent), firstOf(systems, userAgent)
	if browser == "" {
		browser = "Unknown browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

func firstOf(list []named, text string) string {
	for _, n := range list {
		if strings.Contains(text, n.mark) {
			return n.name
		}
	}
	return ""
}

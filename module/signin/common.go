package signin

import (
	"strings"
	"unicode"
)

// NIST SP 800-63B (section 5.1.1.2) requires that the passwords that attackers try
// first are refused. A rule describes them instead of a list: common passwords are
// one or two common words, keyboard walks or runs of one character, with a few
// digits or signs, such as Summer2024! or qwerty123456. The user's own names count
// as common words. Longer combinations of words are accepted.
const (
	mostPieces = 2 // words and walks
	mostLoose  = 6 // digits and signs
	leastWalk  = 3
	leastName  = 3
	mostDigits = 8 // of a password without anything else, such as a date
	mostUnit   = 4 // of a unit that is repeated, such as abab
)

// commonWords are the words that common passwords are made of, in lower case.
var commonWords = strings.Fields(`
	password passwort passwd pass word secret secure security private login logon signin access
	admin administrator root user guest test testing tester demo default system server service superuser sysadmin master manager
	welcome hello letmein changeme change me newpass temp temporary example sample please trustno nopass none
	api apikey apikeys key keys token caddy gateway
	spring summer autumn fall winter january february march april may june july august september october november december
	jan feb mar apr jun jul aug sep sept oct nov dec
	monday tuesday wednesday thursday friday saturday sunday today
	love iloveyou loveyou loveme lovely lover iloveme sweet sweetheart honey baby babygirl babe angel princess prince king queen
	dragon monkey tiger lion eagle falcon phoenix wolf bear panther dolphin butterfly kitty kitten puppy bunny chicken horse
	football soccer baseball basketball hockey golf tennis rugby cricket sports player winner champion
	arsenal chelsea liverpool barcelona madrid juventus milan yankees lakers cowboys steelers
	shadow sunshine sunny flower rainbow star stars moon summertime ocean purple orange yellow silver golden diamond crystal
	superman batman spiderman pokemon naruto starwars matrix hunter ninja samurai pirate wizard warrior killer
	michael jordan daniel david james robert thomas william george charlie andrew matthew joshua anthony nicholas alexander
	jessica jennifer michelle ashley amanda nicole hannah sophie maria anna laura sarah charlotte elizabeth maggie ginger
	cookie chocolate cheese coffee banana pepper peanut pumpkin cherry apple
	computer internet google facebook linkedin twitter youtube yahoo hotmail gmail microsoft windows samsung iphone android linux ubuntu
	mustang ferrari porsche mercedes corvette harley honda toyota nissan camaro yamaha
	freedom forever family friends friend mother father brother sister whatever nothing something blessed jesus christ heaven
	money dollar million lucky happy cool awesome great super
	london paris berlin america canada mexico london england france germany
	music guitar rock metal jazz dance party
	abc xyz asdf zxcv qwer qaz wsx a i my the is it
`)

// walks are rows and columns of keyboards, the alphabet and the digits.
var walks = bothWays(
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "qsdfghjklm",
	"zxcvbnm", "yxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0",
	"!@#$%^&*()", `!"§$%&/()=`, "147258369", "159357", "741852963", "qazwsxedcrfvtgbyhnujmikolp", "aqzsedrf",
)

func bothWays(lines ...string) (all [][]rune) {
	for _, line := range lines {
		there := []rune(line)
		back := make([]rune, len(there))
		for i, c := range there {
			back[len(back)-1-i] = c
		}
		all = append(all, there, back)
	}
	return all
}

// leet are the letters that a digit or sign often stands for.
var leet = map[rune]string{'0': "o", '1': "il", '3': "e", '4': "a", '5': "s", '7': "t", '8': "b", '9': "g", '@': "a", '$': "s", '!': "il", '+': "t"}

// common reports whether attackers try a password first. about are texts that
// others know of the user, such as the e-mail address.
func common(password string, about []string) bool {
	text := []rune(strings.ToLower(password))
	if repeated(text) || len(text) <= mostDigits && allDigits(text) {
		return true
	}
	var words [][]rune
	for _, w := range commonWords {
		words = append(words, []rune(w))
	}
	for _, name := range names(about) {
		words = append(words, []rune(name))
	}
	return made(text, words, mostPieces, mostLoose)
}

// made reports whether a text is made of so many words or walks, and so many
// digits or signs, at most.
func made(text []rune, words [][]rune, pieces, loose int) bool {
	if len(text) == 0 {
		return true
	}
	if loose > 0 && !unicode.IsLetter(text[0]) && made(text[1:], words, pieces, loose-1) {
		return true
	}
	if pieces == 0 {
		return false
	}
	for _, w := range words {
		if begins(text, w) && made(text[len(w):], words, pieces-1, loose) {
			return true
		}
	}
	for n := walk(text); n >= leastWalk; n-- {
		if made(text[n:], words, pieces-1, loose) {
			return true
		}
	}
	return false
}

// begins reports whether a text begins with a word, with letters written as signs
// or not.
func begins(text, word []rune) bool {
	if len(text) < len(word) {
		return false
	}
	for i, c := range word {
		if text[i] != c && !strings.ContainsRune(leet[text[i]], c) {
			return false
		}
	}
	return true
}

// walk returns the length of the longest walk, or run of one character, that a
// text begins with.
func walk(text []rune) int {
	longest := 1
	for longest < len(text) && text[longest] == text[0] {
		longest++
	}
	for _, line := range walks {
		for start, c := range line {
			if c != text[0] {
				continue
			}
			n := 1
			for n < len(text) && start+n < len(line) && line[start+n] == text[n] {
				n++
			}
			longest = max(longest, n)
		}
	}
	return longest
}

// repeated reports whether a text is one short unit again and again.
func repeated(text []rune) bool {
	for unit := 1; unit <= mostUnit && unit < len(text); unit++ {
		i := unit
		for i < len(text) && text[i] == text[i-unit] {
			i++
		}
		if i == len(text) {
			return true
		}
	}
	return false
}

func allDigits(text []rune) bool {
	for _, c := range text {
		if !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}

// names returns the names in texts about a user, each whole and in parts.
func names(about []string) (all []string) {
	for _, text := range about {
		text = strings.ToLower(text)
		local, _, _ := strings.Cut(text, "@")
		parts := strings.FieldsFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
		for _, name := range append(parts, text, local) {
			if len([]rune(name)) >= leastName {
				all = append(all, name)
			}
		}
	}
	return all
}

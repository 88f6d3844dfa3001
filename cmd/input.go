package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// maxSecret bounds what is read in search of a secret, in bytes.
const maxSecret = 1 << 20

// secret reads what must not be an argument: from a file, or where that is
// empty or -, from standard input. what says to people what to type.
func (c *call) secret(file, what string) (string, error) {
	text, err := c.read(file, what)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", fmt.Errorf("reading %s: there is nothing to read", what)
	}
	return text, nil
}

func (c *call) read(file, what string) (string, error) {
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return readSome(f)
	}
	if f, ok := c.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.PrintErrf("Type or paste %s, then Enter (it isn't shown): ", what)
		text, err := term.ReadPassword(int(f.Fd()))
		c.PrintErrln()
		return string(text), err
	}
	return readSome(c.InOrStdin())
}

// confirm asks a person at a terminal whether to go on, unless --yes was given.
// A script, whose input isn't a terminal, isn't asked. What it returns is an
// error unless the answer was yes.
func (c *call) confirm(question string) error {
	f, ok := c.InOrStdin().(*os.File)
	if c.flag("yes") == "true" || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	c.PrintErrf("%s Type yes to go on: ", question)
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was deleted, because the answer was not yes")
	}
	return nil
}

// confirmed declares the flag that answers [call.confirm].
func confirmed(f *pflag.FlagSet) { f.BoolP("yes", "y", false, "Don't ask for confirmation") }

func readSome(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err == nil && len(text) > maxSecret {
		err = fmt.Errorf("more than %d bytes", maxSecret)
	}
	return string(text), err
}

// keyIDs returns the arguments, each a key ID. Another text may be a credential
// that was minted elsewhere, so it is neither sent nor repeated.
func (c *call) keyIDs() ([]string, error) {
	for i, id := range c.args {
		if !credential.IsKeyID(id) {
			return nil, usagef("argument %d is not a key ID, which looks like cak_0123456789AB; \"key list\" shows them", i+1)
		}
	}
	return c.args, nil
}

// quoted is what may be repeated of an argument.
func quoted(arg string) string {
	if credential.FormOf(arg) != credential.Foreign {
		return "of that name"
	}
	return fmt.Sprintf("%q", arg)
}

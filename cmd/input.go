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

// maxSecret limits the input that holds a secret, in bytes.
const maxSecret = 1 << 20

// secret reads a text that must not be an argument, from a file, or from standard
// input if file is empty or -. what names the text in the prompt and in errors.
func (c *call) secret(file, what string) (string, error) {
	text, err := c.read(file, what)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", fmt.Errorf("reading %s: the input is empty", what)
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

// confirm asks a person at a terminal for confirmation, unless --yes was given,
// and returns an error unless the answer is yes. It doesn't ask a script, whose
// input isn't a terminal.
func (c *call) confirm(question string) error {
	f, ok := c.InOrStdin().(*os.File)
	if c.flag("yes") == "true" || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	c.PrintErrf("%s Type yes to continue: ", question)
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

// keyIDs returns the arguments, each a key ID. Any other argument may be a
// credential that was minted elsewhere, so it is neither sent nor repeated.
func (c *call) keyIDs() ([]string, error) {
	for i, id := range c.args {
		if !credential.IsKeyID(id) {
			return nil, usagef("argument %d is not a key ID, which looks like cak_0123456789AB; \"key list\" shows them", i+1)
		}
	}
	return c.args, nil
}

// quoted returns an argument for an error, unless it is a credential.
func quoted(arg string) string {
	if credential.FormOf(arg) != credential.Foreign {
		return "of that name"
	}
	return fmt.Sprintf("%q", arg)
}

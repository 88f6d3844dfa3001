package boltstore

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory/steps"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestSteps(t *testing.T) {
	steps.Run(t, func(t *testing.T) keys.Store { return newStore(t, newPath(t), realFaults()) })
}

package boltstore

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest/steps"
)

func TestSteps(t *testing.T) {
	steps.Run(t, func(t *testing.T) keys.Store { return newStore(t, newPath(t), realFaults()) })
}

package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/directory"
)

// upkeep logs and counts the failures of what the key store's directory does
// by itself.
type upkeep struct {
	logger   *zap.Logger
	failures *prometheus.CounterVec
}

func newUpkeep(logger *zap.Logger, registry prometheus.Registerer) (*upkeep, error) {
	failures, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_api_keys_task_failures_total",
		Help: "Failures of what the key store does by itself, by task: deletions, last_use, audit_retention, heartbeat, close.",
	}, []string{"task"}))
	if err != nil {
		return nil, err
	}
	return &upkeep{logger, failures}, nil
}

// TaskFailed implements [directory.Observer].
func (u *upkeep) TaskFailed(task directory.Task, err error) {
	u.failures.WithLabelValues(string(task)).Inc()
	u.logger.Error("task of the key store failed", zap.String("task", string(task)), zap.Error(err))
}

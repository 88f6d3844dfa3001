package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/directory"
)

// Tasks logs and counts the failures of what the key store's directory does by
// itself.
type Tasks struct {
	logger   *zap.Logger
	failures *prometheus.CounterVec
}

// NewTasks registers the counter.
func NewTasks(logger *zap.Logger, registry prometheus.Registerer) (*Tasks, error) {
	failures, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_api_keys_task_failures_total",
		Help: "Failures of the key store's background tasks, by task: deletions, last_use, activity, quotas, audit_retention, heartbeat, close.",
	}, []string{"task"}))
	if err != nil {
		return nil, err
	}
	return &Tasks{logger, failures}, nil
}

// TaskFailed implements [directory.Observer].
func (t *Tasks) TaskFailed(task directory.Task, err error) {
	t.failures.WithLabelValues(string(task)).Inc()
	t.logger.Error("task of the key store failed", zap.String("task", string(task)), zap.Error(err))
}

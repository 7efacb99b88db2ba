// Package metrics holds the figures of one process for Prometheus.
package metrics

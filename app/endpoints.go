package app

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
)

// EndpointsFile is the name of the file in DataDir that says where a running
// server listens.
const EndpointsFile = "endpoints.json"

// Endpoints are the addresses of a running server.
type Endpoints struct {
	HTTP string `json:"http"` // http://127.0.0.1:8080
	WS   string `json:"ws"`   // ws://127.0.0.1:8080
	NATS string `json:"nats"` // nats://127.0.0.1:4222

	Metrics string `json:"metrics,omitempty"` // http://127.0.0.1:9464/metrics; "" for nowhere
}

// Endpoints returns the addresses; they are known once Start has returned.
func (a *App) Endpoints() Endpoints {
	host := reachable(a.httpAddr)
	e := Endpoints{HTTP: "http://" + host, WS: "ws://" + host, NATS: a.engine.ClientURL()}
	switch {
	case a.metricsAddr != nil:
		e.Metrics = "http://" + reachable(a.metricsAddr) + "/metrics"
	case a.opts.Metrics == MetricsOnHTTP:
		e.Metrics = e.HTTP + "/metrics"
	}
	return e
}

// reachable turns a wildcard address into one that can be dialled from here.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	local := *tcp
	local.IP = net.IPv4(127, 0, 0, 1)
	return local.String()
}

// writeEndpoints writes the file whole or not at all: whoever waits for it must
// never read half of it.
func (a *App) writeEndpoints() error {
	line, err := json.Marshal(a.Endpoints())
	if err != nil {
		return err
	}
	path := filepath.Join(a.opts.DataDir, EndpointsFile)
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(line, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (a *App) removeEndpoints() error {
	err := os.Remove(filepath.Join(a.opts.DataDir, EndpointsFile))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

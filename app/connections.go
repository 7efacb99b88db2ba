package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/descriptors"
)

// partConns is how many connections the parts may have inside the process, which
// nats-server counts with those over TCP though they take no descriptor.
const partConns = 64

// descriptors is how the process shares what it may open.
func (o Options) descriptors() descriptors.Budget {
	return descriptors.Share(cmp.Or(o.Descriptors, descriptors.Available()))
}

// shareDescriptors sets how many connections there may be so that the streams have
// descriptors left whoever comes.
func (o *Options) shareDescriptors() error {
	b := o.descriptors()
	if b.Browsers < 1 {
		return fmt.Errorf("this process may open %d files, of which %d are for the server itself: raise `ulimit -n` to %d or more",
			b.Available, b.Available-b.Browsers, 1024)
	}
	o.Gateway.Limits.Connections.Value = o.connections(b)
	o.Gateway.SpareConnections = b.Spare
	o.Engine.MaxClients = b.Services + partConns + cmp.Or(o.Gateway.MaxVerdicts, gateway.DefaultOptions().MaxVerdicts)
	if o.Gateway.KeepLinks {
		o.Engine.MaxClients += o.Gateway.Limits.Connections.Value
	}
	return nil
}

// connections is how many HTTP connections there may be: what is set, as far as it
// reaches.
func (o Options) connections(b descriptors.Budget) int {
	if set := o.Gateway.Limits.Connections.Value; set > 0 {
		return min(set, b.Browsers)
	}
	return b.Browsers
}

// Report tells an operator what follows from the options on this machine, and warns
// of what is legal but hardly meant. It changes nothing.
func (o Options) Report(log *slog.Logger) {
	b := o.descriptors()
	log.Info("connections of all browsers together", "limit", o.connections(b),
		"descriptors", b.Available, "reserved", b.Available-b.Browsers)
	for _, err := range o.warnings() {
		log.Warn(err.Error())
	}
}

func (o Options) warnings() (all []error) {
	b := o.descriptors()
	if set := o.Gateway.Limits.Connections.Value; set > b.Browsers {
		all = append(all, fmt.Errorf("limits.connections is %d, but of the %d files that this process may open %d are left for browsers, which is what holds: raise `ulimit -n` to %d",
			set, b.Available, max(0, b.Browsers), descriptors.Needed(set)))
	}
	if !IsLoopback(o.HTTP) && len(o.Gateway.TrustedProxies) == 0 {
		all = append(all, errors.New("http is "+o.HTTP+", which others can reach, and no TLS stands in front as far as the settings say: "+
			"tokens and statuses cross the network for all to read. Put a proxy with TLS there, name it in trusted_proxies, and have http be what only the proxy reaches"))
	}
	if m := o.Metrics; m != "" && m != MetricsNone && m != MetricsOnHTTP && !IsLoopback(m) {
		all = append(all, errors.New("metrics is "+m+", which others can reach: whoever does reads what the server counts"))
	}
	return all
}

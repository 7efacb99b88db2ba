package noise

import (
	"net/netip"
	"time"
)

// Options of a Handler. Zero means the default everywhere.
type Options struct {
	// PerSecond and Burst bound the lines of a kind: so many a second, and so many
	// at once after a quiet time. Default 1 and 10.
	PerSecond float64
	Burst     int
	// NetworkPerSecond and NetworkBurst are what one network has of that, so that
	// it does not use up what is for all. Default 0.1 and 3.
	NetworkPerSecond float64
	NetworkBurst     int
	// SumEvery is how long what was left out is counted before a line tells how
	// many there were. Default 10 s.
	SumEvery time.Duration
	// MaxKinds bounds the kinds that are told apart, and MaxNetworks the networks
	// over all kinds. What is more shares one kind, or counts for the kind alone.
	// Default 256 and 4096.
	MaxKinds, MaxNetworks int
	// MaxValueBytes bounds each value, MaxTextBytes a line's text, and
	// MaxStackBytes the value "stack" of a panic. Default 256, 512 and 4096.
	MaxValueBytes, MaxTextBytes, MaxStackBytes int
	// Network is what counts as one address. Default: an address for itself.
	Network func(netip.Addr) netip.Prefix
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		PerSecond: 1, Burst: 10, NetworkPerSecond: 0.1, NetworkBurst: 3,
		SumEvery: 10 * time.Second,
		MaxKinds: 256, MaxNetworks: 4096,
		MaxValueBytes: 256, MaxTextBytes: 512, MaxStackBytes: 4096,
		Network: func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) },
	}
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.PerSecond, d.PerSecond)
	setDefault(&o.Burst, d.Burst)
	setDefault(&o.NetworkPerSecond, d.NetworkPerSecond)
	setDefault(&o.NetworkBurst, d.NetworkBurst)
	setDefault(&o.SumEvery, d.SumEvery)
	setDefault(&o.MaxKinds, d.MaxKinds)
	setDefault(&o.MaxNetworks, d.MaxNetworks)
	setDefault(&o.MaxValueBytes, d.MaxValueBytes)
	setDefault(&o.MaxTextBytes, d.MaxTextBytes)
	setDefault(&o.MaxStackBytes, d.MaxStackBytes)
	if o.Network == nil {
		o.Network = d.Network
	}
	return o
}

func setDefault[T int | float64 | time.Duration](value *T, d T) {
	if *value <= 0 {
		*value = d
	}
}

package limit

import "net/netip"

// Network is what counts as one address: an IPv4 address, or the /64 of an IPv6
// address, since whoever has one has them all. IPv4 in IPv6 is IPv4, and zones
// are left out. What is no address counts as one, the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

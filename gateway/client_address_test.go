package gateway_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/gateway"
)

func TestTheClientsAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	tests := []struct {
		name      string
		peer      string
		forwarded []string
		want      string
	}{
		{"no proxy", "192.0.2.1:5", nil, "192.0.2.1:5"},
		{"a stranger's header is not believed", "192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1:5"},
		{"a trusted proxy's is", "10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"a trusted proxy without a header is itself", "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"what the browser wrote itself stands left and is not believed", "10.0.0.1:5", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7:0"},
		{"trusted proxies in a row are passed over", "10.0.0.1:5", []string{"1.1.1.1, 198.51.100.7, 10.1.2.3, 2001:db8::7"}, "198.51.100.7:0"},
		{"the browser cannot name a trusted proxy to hide", "10.0.0.1:5", []string{"1.1.1.1, 10.9.9.9, 198.51.100.7"}, "198.51.100.7:0"},
		{"several headers are one list", "10.0.0.1:5", []string{"1.1.1.1", "198.51.100.7,10.1.2.3"}, "198.51.100.7:0"},
		{"only trusted proxies: the first of them", "10.0.0.1:5", []string{"10.0.0.9, 10.0.0.8"}, "10.0.0.9:0"},
		{"an entry that is no address ends the search", "10.0.0.1:5", []string{"198.51.100.7, unknown, 10.0.0.8"}, "10.0.0.8:0"},
		{"an empty header", "10.0.0.1:5", []string{""}, "10.0.0.1:5"},
		{"a comma at the end", "10.0.0.1:5", []string{"203.0.113.7,"}, "203.0.113.7:0"},
		{"nothing between commas", "10.0.0.1:5", []string{", 1.1.1.1,,203.0.113.7 ,\t, ,"}, "203.0.113.7:0"},
		{"an empty header behind one that is not", "10.0.0.1:5", []string{"203.0.113.7", ""}, "203.0.113.7:0"},
		{"a header of commas alone", "10.0.0.1:5", []string{",,, ,"}, "10.0.0.1:5"},
		{"more commas than entries are looked at", "10.0.0.1:5", []string{"203.0.113.7" + strings.Repeat(",", 100)}, "203.0.113.7:0"},
		{"tabs around it", "10.0.0.1:5", []string{"\t203.0.113.7\t"}, "203.0.113.7:0"},
		{"other white space is not there to be left out", "10.0.0.1:5", []string{"203.0.113.7\u00a0"}, "10.0.0.1:5"},
		{"half a pair of brackets", "10.0.0.1:5", []string{"[2001:db9::1"}, "10.0.0.1:5"},
		{"the other half", "10.0.0.1:5", []string{"2001:db9::1]"}, "10.0.0.1:5"},
		{"IPv4 in brackets", "10.0.0.1:5", []string{"[203.0.113.7]"}, "10.0.0.1:5"},
		{"a port that is none", "10.0.0.1:5", []string{"203.0.113.7:99999"}, "10.0.0.1:5"},
		{"an address with leading zeros, which some read as octal", "10.0.0.1:5", []string{"203.0.113.007"}, "10.0.0.1:5"},
		{"what RFC 7239 has for another header", "10.0.0.1:5", []string{"for=203.0.113.7"}, "10.0.0.1:5"},
		{"an address with its port", "10.0.0.1:5", []string{"198.51.100.7:4711"}, "198.51.100.7:4711"},
		{"IPv6", "10.0.0.1:5", []string{"2001:db9::1"}, "[2001:db9::1]:0"},
		{"IPv6 in brackets", "10.0.0.1:5", []string{"[2001:db9::1]"}, "[2001:db9::1]:0"},
		{"IPv6 with a port", "10.0.0.1:5", []string{"[2001:db9::1]:80"}, "[2001:db9::1]:80"},
		{"IPv4 in IPv6 is IPv4", "[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
		{"a zone is left out", "[2001:db8::1%eth0]:5", []string{"fe80::1%eth0"}, "[fe80::1]:0"},
		{"no peer that is an address", "@", []string{"198.51.100.7"}, "invalid AddrPort"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := gateway.ClientAddress(r, trusted...); got.String() != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// FuzzClientAddress holds that who is no trusted proxy cannot change its address,
// and that behind one the address is none that the browser chose.
func FuzzClientAddress(f *testing.F) {
	f.Add("1.1.1.1")
	f.Add("1.1.1.1, 10.0.0.3")
	f.Add(strings.Repeat("10.0.0.3,", 1000))
	f.Add("1.1.1.1,,")
	f.Add(" ,\t,[::1],")
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, written string) {
		stranger := &http.Request{RemoteAddr: "192.0.2.1:5", Header: http.Header{"X-Forwarded-For": {written}}}
		if got := gateway.ClientAddress(stranger, trusted).String(); got != "192.0.2.1:5" {
			t.Errorf("a stranger has the address %s", got)
		}
		behind := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {written + ", 192.0.2.1"}}}
		if got := gateway.ClientAddress(behind, trusted).String(); got != "192.0.2.1:0" {
			t.Errorf("behind a proxy it has the address %s", got)
		}
		sloppy := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {written + ",,192.0.2.1,", " ,"}}}
		if got := gateway.ClientAddress(sloppy, trusted).String(); got != "192.0.2.1:0" {
			t.Errorf("behind a proxy that leaves commas it has the address %s", got)
		}
	})
}

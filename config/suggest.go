package config

import (
	"fmt"
	"slices"
	"strings"
)

// natsKeys are top-level keys of nats.conf that someone may look for in
// statuswire.conf.
const natsKeys = " accounts authorization cluster debug gateway host include jetstream leafnodes listen " +
	"lame_duck_duration logfile max_connections max_control_line max_payload max_pending monitor_port mqtt " +
	"no_auth_user ping_max port server_name store_dir sync_interval system_account tls trace trusted_keys websocket write_deadline "

// adviseUnknown says what to write in place of an unknown key.
func adviseUnknown(key string, known []string) string {
	block, name, _ := cutLast(key)
	here := namesIn(block, known)
	if near := nearest(name, here); near != "" {
		return fmt.Sprintf("did you mean %q?", join(block, near))
	}
	if strings.Contains(natsKeys, " "+key+" ") {
		return "it is a setting of the NATS server and belongs in nats.conf"
	}
	for _, k := range known { // right name, wrong block
		if _, n, _ := cutLast(k); nearest(name, []string{n}) != "" {
			return fmt.Sprintf("did you mean %q?", k)
		}
	}
	return "known here are " + strings.Join(here, ", ")
}

// namesIn lists the keys and blocks of a block, "" for the top, in the table's order.
func namesIn(block string, known []string) []string {
	var names []string
	for _, k := range known {
		b, name, nested := cutLast(k)
		if block == "" && nested {
			b, name = "", b
		}
		if b == block && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// nearest finds the name that was most likely meant, or "".
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	for _, n := range names {
		if d := distance(name, n); d < least || d == 0 {
			best, least = n, d
		}
	}
	return best
}

func cutLast(key string) (block, name string, nested bool) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}

func join(block, name string) string {
	if block == "" {
		return name
	}
	return block + "." + name
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

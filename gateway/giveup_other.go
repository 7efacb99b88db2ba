//go:build !linux

package gateway

import (
	"net"
	"time"
)

// giveUpAfter leaves a dead connection to the kernel's own patience.
func giveUpAfter(net.Conn, time.Duration) {}

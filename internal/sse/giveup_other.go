//go:build !linux

package sse

import (
	"net"
	"time"
)

// giveUpAfter leaves a dead connection to the kernel's own patience.
func giveUpAfter(net.Conn, time.Duration) {}

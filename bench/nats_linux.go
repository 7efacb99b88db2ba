package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// serveNATS is a nats-server with nothing but its WebSocket listener: no login, no
// store, no TLS, no compression.
func serveNATS(stdin io.Reader, stdout io.Writer) error {
	srv, err := natsserver.NewServer(&natsserver.Options{
		Host:      "127.0.0.1",
		Port:      natsserver.RANDOM_PORT,
		NoSigs:    true,
		NoLog:     true,
		Websocket: natsserver.WebsocketOpts{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoTLS: true},
	})
	if err != nil {
		return err
	}
	srv.Start()
	defer srv.Shutdown()
	const patience = 10 * time.Second
	if !srv.ReadyForConnections(patience) {
		return fmt.Errorf("nats-server is not ready after %v", patience)
	}
	fmt.Fprintln(stdout, srv.ClientURL())
	fmt.Fprintln(stdout, strings.TrimPrefix(srv.WebsocketURL(), "ws://"))
	waitForEnd(stdin)
	return nil
}

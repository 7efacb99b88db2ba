package main

import (
	"io"
	"strings"
	"text/template"

	"github.com/statuswire/statuswire/app"
)

// announcement is what `serve` prints when it is ready.
var announcement = template.Must(template.New("announcement").Parse(
	`WebSocket  {{.WS}}
page       {{.HTTP}}/
NATS       {{.NATS}}
data       {{.Data}}
{{- if .Demo}}

Open {{.HTTP}}/ in a browser. To publish there:

  XDG_CONFIG_HOME={{.Quoted}} nats --context service pub status.demo.engine '{"text":"hi"}'

To subscribe from your own code (npm install @nats-io/nats-core; in a page with
your bundler, or in Node.js 22 or newer as hi.mjs):

  import { wsconnect } from "@nats-io/nats-core";
  const nc = await wsconnect({ servers: "{{.WS}}", token: "{{"<"}}the line that 'statuswire token --user demo --data {{.Quoted}}' prints>" });
  for await (const m of nc.subscribe("status.demo.*")) console.log(m.subject, m.string());
{{- end}}
ready
`))

// announce prints where the server listens and, for the demo, what to try first.
func (c *serveCommand) announce(w io.Writer, e app.Endpoints) error {
	return announcement.Execute(w, struct {
		app.Endpoints
		Data, Quoted string
		Demo         bool
	}{e, c.Data, shellQuote(c.Data), c.Demo})
}

// shellQuote quotes a word for a POSIX shell if it needs to be.
func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:,@%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

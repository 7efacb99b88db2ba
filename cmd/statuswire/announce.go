package main

import (
	"io"
	"strings"
	"text/template"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/status"
)

// announcement is what `serve` prints when it is ready.
var announcement = template.Must(template.New("announcement").Parse(
	`WebSocket  {{.WS}}
page       {{.HTTP}}/
NATS       {{.NATS}}
{{- if .Metrics}}
metrics    {{.Metrics}}
{{- end}}
data       {{.Data}}
{{- if .Demo}}

Open {{.HTTP}}/ in a browser. To publish to it:

  XDG_CONFIG_HOME={{.Quoted}} nats --context service pub status.{{.Conversation}}.engine '{"text":"hi"}'

To subscribe with your own code, npm install @nats-io/nats-core and run this with
Node.js 22 or newer as hi.mjs; in a page it is the same, with your bundler, your
own way to the token, and the page's origin in allowed_origins:

  import { wsconnect } from "@nats-io/nats-core";
  const { users: [user] } = await (await fetch("{{.HTTP}}/demo.json")).json();
  const nc = await wsconnect({ servers: "{{.WS}}", token: user.token });
  for await (const m of nc.subscribe("status.{{.Conversation}}.*")) console.log(m.subject, m.string());

{{- end}}
ready
`))

// announce prints where the server listens and, for the demo, what to try first.
func (c *serveCommand) announce(w io.Writer, e app.Endpoints) error {
	return announcement.Execute(w, struct {
		app.Endpoints
		Data, Quoted string
		Demo         bool
		Conversation status.ConversationID
	}{e, c.Data, shellQuote(c.Data), c.Demo, app.DemoConversation})
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

// Package test runs the built program as its users do: the binary, the public
// clients, the nats command line, the page in a browser. It imports nothing of the
// house; ports and addresses come from DIR/endpoints.json.
//
// FuzzLifecycle alone runs the app in its own process and needs Go alone: it plays
// lives of many connections and compares what comes with a model.
package test

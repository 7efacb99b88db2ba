// Package admin is the NATS micro service "admin", by which operators make and
// change conversations, see and end browsers' sessions, and have decisions
// explained. The command line speaks to it through Client; so does anybody with
// the operator's key and any NATS client:
//
//	nats req admin.conversation.show '{"id":"c1"}'
//	nats req admin.session.list '{}'
//	nats req admin.why '{"user":"alice","subject":"status.c1.engine"}'
//
// These are the operator's of DIR/keys; nats.conf adds to each its name, operator,
// as the last token: admin.conversation.show.operator. A named key asks with its own
// there, admin.conversation.show.ci, and may publish no other. That name is the
// actor in the audit.
//
// Every request and answer is one JSON object; a field that is not known is an
// error. A conversation is {"id", "owner", "members", "categories", "created"}.
//
//	admin.conversation.create  {"id","owner","members","categories"}  {"conversation"}
//	admin.conversation.show    {"id"}                                 {"conversation","subscribers":
//	                           {"connections","users","categories":{"engine":2,…}}}: who
//	                           listens now; a wildcard counts in every category
//	admin.conversation.add     {"id","member"}                        {"conversation"}
//	admin.conversation.remove  {"id","member"}                        {"conversation"}
//	admin.conversation.list    {"owner","after","limit"}, all optional
//	                           {"conversations":[…],"more":true}: by id; when more, ask
//	                           again with the last id as "after"
//	admin.conversation.delete  {"id"}                                 {"id","purged"}
//	admin.conversation.import  JSON lines, one conversation each, at most 10,000
//	                           {"lines","created","updated","unchanged","failed",
//	                           "errors":[{"line","error"}]}: the first 100 errors; lines
//	                           count from 1 within the request. Of several requests the
//	                           client adds the lines up.
//
//	admin.category.add         {"id","category"}                      {"conversation"}
//	admin.category.retire      {"id","category"}                      {"conversation"}: an own
//	                           category; the default ones stay
//	admin.session.list         {"user","after","limit"}, all optional
//	                           {"sessions":[{"id","user","address","connected_at","name",
//	                           "lang","version","expires","conversations","subscriptions":
//	                           [{"subject","queue","delivered"}],"delivered","queue_bytes",
//	                           "rtt_ms","subscription_changes"}],"more":true}: by id; see
//	                           session.Info
//	admin.session.kick         {"user","reason"}                      {"user","kicked"}: closes
//	                           all connections of the user; the next login is decided anew
//	admin.key.create           {"name","role","categories","public"}: only the public key,
//	                           the seed stays with who made it          {"key"}
//	admin.key.list             {"after","limit"}, all optional
//	                           {"keys":[{"name","role","categories","public","created",
//	                           "built_in"}],"more":true}
//	admin.key.end              {"name"}                               {"key"}: closes its
//	                           connections, on all nodes
//	admin.why                  {"user","subject","queue","action"}: what would become of a
//	                           SUB, or with the action "publish", and for edge.… and
//	                           gateway.… anyway, of a PUB
//	                           {"user","subject","queue","action","steps":[{"step","found",
//	                           "from"}],"allowed","answer","sessions":[{"id","allowed",
//	                           "answer"}]}: user, membership, grant, limits and verdict, each
//	                           with what it was read from; answer is the -ERR of a refusal
//
// Sessions, subscribers and why are of the node that answers. Each change and
// each kick is an event of the audit, with who asked as the actor.
//
// An error is a micro error (headers Nats-Service-Error and
// Nats-Service-Error-Code) whose body has the shape of the JetStream API,
// {"error":{"code","err_code","description"}}; the codes stand in errors.go.
//
// Each endpoint answers its requests one after the other, so as many are under way
// at most as there are endpoints; each has a deadline. In a cluster any node answers (queue group); the
// others see the change within milliseconds.
//
// # What delete does
//
// First the entry leaves the directory, so that nobody can publish or join any
// more; then status.<id>.* is purged from the stream. The broadcaster looks a
// conversation up before it stores a status, so one that it looked up just before
// may be stored just after the purge: delete waits for a moment (Options.Settle)
// and purges again, until a purge finds nothing. "purged" is the sum. What a
// node stores that is further behind than that, nobody can read: and when the id
// is used again, create and import purge first.
// A delete whose purge failed can be sent again: it then goes on with the purge.
package admin

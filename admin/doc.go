// Package admin is the NATS micro service "admin", by which operators make and
// change conversations. The command line speaks to it through Client; so does
// anybody with the operator's key and any NATS client:
//
//	nats req admin.conversation.show '{"id":"c1"}'
//
// Every request and answer is one JSON object; a field that is not known is an
// error. A conversation is {"id", "owner", "members", "categories", "created"}.
//
//	admin.conversation.create  {"id","owner","members","categories"}  {"conversation"}
//	admin.conversation.show    {"id"}                                 {"conversation"}
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
// An error is a micro error (headers Nats-Service-Error and
// Nats-Service-Error-Code) whose body has the shape of the JetStream API,
// {"error":{"code","err_code","description"}}; the codes stand in errors.go.
//
// Each endpoint answers its requests one after the other, so seven are under way
// at most; each has a deadline. In a cluster any node answers (queue group); the
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

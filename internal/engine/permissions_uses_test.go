package engine_test

// A use is one allow line of nats.conf and a subject that it must let through.
type use struct{ line, subject string }

// readsInside are what operators and viewers may both ask.
func readsInside() []use {
	return []use{
		{"$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO"},
		{"$JS.API.INFO", "$JS.API.INFO"},
		{"$JS.API.STREAM.NAMES", "$JS.API.STREAM.NAMES"},
		{"$JS.API.STREAM.LIST", "$JS.API.STREAM.LIST"},
		{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.STATUS"},
		{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.AUDIT"},
		{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.AUDIT_ADMIN"},
		{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.MARKS"},
		{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.KV_directory"},
		{"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.GET.STATUS"},
		{"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.GET.AUDIT"},
		{"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.GET.AUDIT_ADMIN"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.STATUS"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.AUDIT"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.AUDIT_ADMIN"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.AUDIT.audit.denied"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.AUDIT_ADMIN.audit.admin.kicked"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.MARKS"},
		{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.KV_directory.$KV.directory.c1"},
		{"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.CREATE.STATUS.view"},
		{"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.CREATE.AUDIT.view.audit.>"},
		{"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.CREATE.AUDIT_ADMIN.view.audit.>"},
		{"$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.INFO.STATUS.view"},
		{"$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.INFO.AUDIT.view"},
		{"$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.INFO.AUDIT_ADMIN.view"},
		{"$JS.API.CONSUMER.DELETE.*.*", "$JS.API.CONSUMER.DELETE.STATUS.view"},
		{"$JS.API.CONSUMER.DELETE.*.*", "$JS.API.CONSUMER.DELETE.AUDIT.view"},
		{"$JS.API.CONSUMER.DELETE.*.*", "$JS.API.CONSUMER.DELETE.AUDIT_ADMIN.view"},
		{"$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.MSG.NEXT.STATUS.view"},
		{"$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.MSG.NEXT.AUDIT.view"},
		{"$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.MSG.NEXT.AUDIT_ADMIN.view"},
		{"$JS.ACK.>", "$JS.ACK.STATUS.view.1.1.1.1.0"},
	}
}

// uses has every allow line of every user. A line of nats.conf that is not here
// fails the test, and so does one here that is not in nats.conf.
var uses = map[string]struct{ publish, subscribe []use }{
	"SERVICE_KEY": {
		publish: []use{{"submit.*.*", "status.c1.engine"}}, // by the mapping
		subscribe: []use{
			{"status.*.*", "ingest.c1.engine"}, // stored and republished
			{"presence.*", "presence.c1"},
			{"_INBOX.>", "_INBOX.abc.1"},
		},
	},
	"OPERATOR_KEY": {
		publish: append([]use{
			{"admin.conversation.*.operator", "admin.conversation.list"}, // by the mapping, as what follows
			{"admin.category.*.operator", "admin.category.add"},
			{"admin.session.*.operator", "admin.session.list"},
			{"admin.key.*.operator", "admin.key.list"},
			{"admin.why.operator", "admin.why"},
			{"edge.*.*", "edge.c1.join"},
			{"$SRV.>", "$SRV.PING.edge"},
		}, readsInside()...),
		subscribe: []use{
			{"status.>", "ingest.c1.engine"},
			{"presence.>", "presence.c1"},
			{"audit.>", "audit.denied"},
			{"$JS.EVENT.>", "$JS.EVENT.ADVISORY.STREAM.CREATED.X"},
			{"_INBOX_operator.>", "_INBOX_operator.abc.1"},
		},
	},
	"VIEWER_KEY": {
		publish: append([]use{
			{"admin.conversation.show.viewer", "admin.conversation.show.viewer"},
			{"admin.conversation.list.viewer", "admin.conversation.list.viewer"},
			{"admin.session.list.viewer", "admin.session.list.viewer"},
			{"admin.why.viewer", "admin.why.viewer"},
			{"admin.key.list.viewer", "admin.key.list.viewer"},
			{"edge.*.*", "edge.c1.join"},
			{"$SRV.PING", "$SRV.PING"},
			{"$SRV.PING.>", "$SRV.PING.edge"},
			{"$SRV.INFO", "$SRV.INFO"},
			{"$SRV.INFO.>", "$SRV.INFO.edge"},
			{"$SRV.STATS", "$SRV.STATS"},
			{"$SRV.STATS.>", "$SRV.STATS.edge"},
		}, readsInside()...),
		subscribe: []use{
			{"status.>", "ingest.c1.engine"},
			{"presence.>", "presence.c1"},
			{"audit.>", "audit.denied"},
			{"$JS.EVENT.>", "$JS.EVENT.ADVISORY.STREAM.CREATED.X"},
			{"_INBOX_viewer.>", "_INBOX_viewer.abc.1"},
		},
	},
	"KEYS_KEY": {
		publish: []use{
			{"$KV.keys.>", "$KV.keys.ci"},
			{"$JS.API.STREAM.INFO.KV_keys", "$JS.API.STREAM.INFO.KV_keys"},
			{"$JS.API.CONSUMER.CREATE.KV_keys.>", "$JS.API.CONSUMER.CREATE.KV_keys.w.$KV.keys.ci"},
			{"$JS.API.CONSUMER.MSG.NEXT.KV_keys.*", "$JS.API.CONSUMER.MSG.NEXT.KV_keys.w"},
			{"$JS.API.CONSUMER.DELETE.KV_keys.*", "$JS.API.CONSUMER.DELETE.KV_keys.w"},
		},
		subscribe: []use{{"_INBOX_keys.>", "_INBOX_keys.abc.1"}},
	},
	"GATEWAY_KEY": {
		publish:   []use{{"edge.*.*.*", "edge.c1.join.alice"}},
		subscribe: []use{{"_INBOX_gateway.>", "_INBOX_gateway.abc.1"}},
	},
	"FANOUT_KEY": {
		publish: []use{
			{"$JS.API.DIRECT.GET.STATUS", "$JS.API.DIRECT.GET.STATUS"},
			{"$JS.API.DIRECT.GET.STATUS.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
			{"$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.INFO.STATUS"},
		},
		subscribe: []use{
			{"status.*.*", "ingest.c1.engine"}, // stored and republished
			{"presence.*", "presence.c1"},
			{"_INBOX_fanout.>", "_INBOX_fanout.abc.1"},
			{"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS", "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS"},
			{"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.PURGE.STATUS"},
			{"$JS.API.STREAM.MSG.DELETE.STATUS", "$JS.API.STREAM.MSG.DELETE.STATUS"},
		},
	},
	"BROADCASTER_KEY": {
		publish: []use{
			{"ingest.*.*", "ingest.c1.engine"},
			{"_INBOX.>", "_INBOX.abc.1"},
			{"_INBOX_key.>", "_INBOX_key.indexer.1"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"submit.*.*", "status.c1.engine"}, // by the mapping
			{"_INBOX_broadcaster.>", "_INBOX_broadcaster.abc.1"},
		},
	},
	"EDGE_KEY": {
		publish: []use{
			{"$JS.API.DIRECT.GET.STATUS", "$JS.API.DIRECT.GET.STATUS"},
			{"$JS.API.DIRECT.GET.STATUS.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
			{"$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.INFO.STATUS"},
			{"_INBOX_gateway.>", "_INBOX_gateway.abc.1"},
			{"_INBOX_user.>", "_INBOX_user.alice.1"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"edge.*.*", "edge.c1.join"},
			{"edge.*.*.*", "edge.c1.join.alice"},
			{"$SRV.>", "$SRV.INFO.edge"},
			{"_INBOX_edge.>", "_INBOX_edge.abc.1"},
		},
	},
	"ADMIN_KEY": {
		publish: []use{
			{"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.PURGE.STATUS"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"admin.>", "admin.conversation.create.operator"},
			{"$SRV.>", "$SRV.PING"},
			{"_INBOX_admin.>", "_INBOX_admin.abc.1"},
		},
	},
	"DIRECTORY_KEY": {
		publish: []use{
			{"$KV.directory.>", "$KV.directory.c1"},
			{"$JS.API.STREAM.INFO.KV_directory", "$JS.API.STREAM.INFO.KV_directory"},
			{"$JS.API.CONSUMER.CREATE.KV_directory.>", "$JS.API.CONSUMER.CREATE.KV_directory.w.$KV.directory.c1"},
			{"$JS.API.CONSUMER.MSG.NEXT.KV_directory.*", "$JS.API.CONSUMER.MSG.NEXT.KV_directory.w"},
			{"$JS.API.CONSUMER.DELETE.KV_directory.*", "$JS.API.CONSUMER.DELETE.KV_directory.w"},
		},
		subscribe: []use{{"_INBOX_directory.>", "_INBOX_directory.abc.1"}},
	},
	"PRESENCE_KEY": {
		publish: []use{
			{"presence.*", "presence.c1"},
			{"presence.node.*", "presence.node.snapshot"},
		},
		subscribe: []use{{"presence.node.*", "presence.node.snapshot"}},
	},
	"AUDIT_KEY": {
		publish:   []use{{"audit.*", "audit.denied"}, {"audit.admin.*", "audit.admin.kicked"}},
		subscribe: []use{{"_INBOX_audit.>", "_INBOX_audit.abc.1"}},
	},
	"MARKS_KEY": {
		publish: []use{
			{"marks.*", "marks.node"},
			{"$JS.API.STREAM.INFO.MARKS", "$JS.API.STREAM.INFO.MARKS"},
			{"$JS.API.DIRECT.GET.MARKS", "$JS.API.DIRECT.GET.MARKS"},
		},
		subscribe: []use{{"_INBOX_marks.>", "_INBOX_marks.abc.1"}},
	},
	"CONSUMERS_KEY": {
		publish: []use{
			{"$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.INFO.STATUS"},
			{"$JS.API.CONSUMER.CREATE.STATUS.>", "$JS.API.CONSUMER.CREATE.STATUS.view"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"consumer.create.STATUS.>", "consumer.create.STATUS.view"},
			{"_INBOX_consumers.>", "_INBOX_consumers.abc.1"},
		},
	},
	"STATE_CONSUMERS_KEY": {
		publish: []use{
			{"$JS.API.STREAM.INFO.AUDIT", "$JS.API.STREAM.INFO.AUDIT"},
			{"$JS.API.CONSUMER.CREATE.AUDIT.>", "$JS.API.CONSUMER.CREATE.AUDIT.view.audit.>"},
			{"$JS.API.STREAM.INFO.AUDIT_ADMIN", "$JS.API.STREAM.INFO.AUDIT_ADMIN"},
			{"$JS.API.CONSUMER.CREATE.AUDIT_ADMIN.>", "$JS.API.CONSUMER.CREATE.AUDIT_ADMIN.view"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"consumer.create.AUDIT.>", "consumer.create.AUDIT.view"},
			{"consumer.create.AUDIT_ADMIN.>", "consumer.create.AUDIT_ADMIN.view"},
			{"_INBOX_state_consumers.>", "_INBOX_state_consumers.abc.1"},
		},
	},
	"STREAMS_KEY": {
		publish: []use{
			{"$JS.API.INFO", "$JS.API.INFO"},
			{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.STATUS"},
			{"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.CREATE.STATUS"},
			{"$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.UPDATE.STATUS"},
		},
		subscribe: []use{{"_INBOX_streams.>", "_INBOX_streams.abc.1"}},
	},
	"STATE_STREAMS_KEY": {
		publish: []use{
			{"$JS.API.INFO", "$JS.API.INFO"},
			{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.AUDIT"},
			{"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.CREATE.AUDIT"},
			{"$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.UPDATE.AUDIT"},
		},
		subscribe: []use{{"_INBOX_state_streams.>", "_INBOX_state_streams.abc.1"}},
	},
	"CALLOUT_KEY": {
		subscribe: []use{{"$SYS.REQ.USER.AUTH", login}},
	},
	"SYSTEM_KEY": {
		publish: []use{
			{"$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO"},
			{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING"},
			{"$SYS.REQ.SERVER.PING.*", "$SYS.REQ.SERVER.PING.CONNZ"},
			{"$SYS.REQ.SERVER.PING.*", "$SYS.REQ.SERVER.PING.JSZ"},
			{"$SYS.REQ.SERVER.*.IDZ", "$SYS.REQ.SERVER.N1.IDZ"},
			{"$SYS.REQ.SERVER.*.STATSZ", "$SYS.REQ.SERVER.N1.STATSZ"},
			{"$SYS.REQ.SERVER.*.VARZ", "$SYS.REQ.SERVER.N1.VARZ"},
			{"$SYS.REQ.SERVER.*.CONNZ", "$SYS.REQ.SERVER.N1.CONNZ"},
			{"$SYS.REQ.SERVER.*.SUBSZ", "$SYS.REQ.SERVER.N1.SUBSZ"},
			{"$SYS.REQ.SERVER.*.ROUTEZ", "$SYS.REQ.SERVER.N1.ROUTEZ"},
			{"$SYS.REQ.SERVER.*.ACCOUNTZ", "$SYS.REQ.SERVER.N1.ACCOUNTZ"},
			{"$SYS.REQ.SERVER.*.ACCSTATZ", "$SYS.REQ.SERVER.N1.ACCSTATZ"},
			{"$SYS.REQ.SERVER.*.JSZ", "$SYS.REQ.SERVER.N1.JSZ"},
			{"$SYS.REQ.SERVER.*.HEALTHZ", "$SYS.REQ.SERVER.N1.HEALTHZ"},
			{"$SYS.REQ.SERVER.*.KICK", "$SYS.REQ.SERVER.N1.KICK"},
			{"$SYS.REQ.ACCOUNT.*.*", "$SYS.REQ.ACCOUNT.STATUS.CONNZ"},
		},
		subscribe: []use{
			{"$SYS.ACCOUNT.>", "$SYS.ACCOUNT.STATUS.CONNECT"},
			{"$SYS.SERVER.>", "$SYS.SERVER.N1.STATSZ"},
			{"_INBOX_system.>", "_INBOX_system.abc.1"},
		},
	},
}

// login stands for a connection that only the callout can decide: nobody else may
// publish its subject.
const login = "a login"

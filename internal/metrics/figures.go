package metrics

// figures are all that is pulled. newFigures names them.
type figures struct {
	credentials, idleGrants, idleBytes, linksOpened, linksOpen, slowCloses, shed, queuedBytes, resumed figure

	httpConns, httpConnsLimit figure

	topics, upstream, upstreamLimit, catchingUp, doubles, mended, replayed, unmended figure
	keptTopics, tailStatuses, tailBytes, caughtUp, recalled                          figure

	verdicts, foreign, calloutQueued figure

	submissions, publishes, unanswered figure

	requests, requestDuration figure

	auditEvents, auditLost, auditOverflowed, auditRecords, auditRetries, auditOpen figure
	actEvents, actRecords, actsLost, actRetries, actsWaiting                       figure

	marksKept, markBytes, marksForgotten, marksRefused, marksWritten, markBytesWritten, markFailures figure

	logOmitted figure

	natsUp, natsConnections, natsConnected, natsSubscriptions, natsMessages, natsBytes figure
	natsSlowConsumers, natsMemory, storeBytes, storeMemory, apiRequests, apiErrors     figure
	streamMessages, streamBytes, streamSubjects, streamStored                          figure
	streamHealthy, natsRestarts                                                        figure
}

func (f *figures) all() []figure {
	return []figure{
		f.credentials, f.idleGrants, f.idleBytes, f.linksOpened, f.linksOpen, f.slowCloses, f.shed, f.queuedBytes, f.resumed,
		f.httpConns, f.httpConnsLimit,
		f.topics, f.upstream, f.upstreamLimit, f.catchingUp, f.doubles, f.mended, f.replayed, f.unmended,
		f.keptTopics, f.tailStatuses, f.tailBytes, f.caughtUp, f.recalled,
		f.verdicts, f.foreign, f.calloutQueued,
		f.submissions, f.publishes, f.unanswered,
		f.requests, f.requestDuration,
		f.auditEvents, f.auditLost, f.auditOverflowed, f.auditRecords, f.auditRetries, f.auditOpen,
		f.actEvents, f.actRecords, f.actsLost, f.actRetries, f.actsWaiting,
		f.marksKept, f.markBytes, f.marksForgotten, f.marksRefused, f.marksWritten, f.markBytesWritten, f.markFailures,
		f.logOmitted,
		f.natsUp, f.natsConnections, f.natsConnected, f.natsSubscriptions, f.natsMessages, f.natsBytes,
		f.natsSlowConsumers, f.natsMemory, f.storeBytes, f.storeMemory, f.apiRequests, f.apiErrors,
		f.streamMessages, f.streamBytes, f.streamSubjects, f.streamStored,
		f.streamHealthy, f.natsRestarts,
	}
}

func newFigures() figures {
	return figures{
		credentials: gauge("statuswire_credentials", "Tokens whose grant is held now."),
		idleGrants:  gauge("statuswire_idle_grants", "Grants kept without a connection now, for who comes back."),
		idleBytes:   gauge("statuswire_idle_grant_bytes", "Memory of these grants."),
		linksOpened: counter("statuswire_links_opened_total", "Links opened to the NATS server for a login decision."),
		linksOpen:   gauge("statuswire_links", "Links to the NATS server that are open now."),
		shed:        counter("statuswire_shed_total", "Statuses of low priority left out because a browser read too slowly."),
		slowCloses:  counter("statuswire_slow_closes_total", "Connections closed because they read too slowly."),
		queuedBytes: gauge("statuswire_queued_bytes", "Bytes that wait for slow browsers now."),
		resumed:     counter("statuswire_resumed_subscriptions_total", "Subscriptions that went on where an earlier connection of the browser was."),

		httpConns:      gauge("statuswire_http_connections", "HTTP connections that are open now, whatever they do, sockets included."),
		httpConnsLimit: gauge("statuswire_http_connections_limit", "How many HTTP connections there may be; above it browsers are told to come back."),

		upstream:      gauge("statuswire_fanout_subscriptions", "Subscriptions that the fan-out's connection to the NATS server has now."),
		upstreamLimit: gauge("statuswire_fanout_subscriptions_limit", "Subscriptions that it may have, max_subscriptions in nats.conf; 0 for any number. What would exceed it is refused."),
		topics:        gauge("statuswire_fanout_topics", "Upstream subscriptions now, one for each subject that a browser wants, or has wanted shortly before."),
		catchingUp:    gauge("statuswire_fanout_catching_up", "Subscriptions now that are still sent what they missed while they were away."),
		doubles:       counter("statuswire_fanout_doubles_total", "Statuses dropped because they had been delivered before."),
		mended:        counter("statuswire_fanout_mended_total", "Statuses fetched from the stream to mend a hole."),
		replayed:      counter("statuswire_fanout_replayed_total", "Statuses fetched from the stream for one subscription that had been away."),
		unmended:      counter("statuswire_fanout_holes_failed_total", "Holes and replays that were given up; their subscriptions were ended."),
		keptTopics:    gauge("statuswire_fanout_topics_kept", "Of the upstream subscriptions those that no browser wants now, kept for who comes back."),
		tailStatuses:  gauge("statuswire_tail_statuses", "Newest statuses that are in memory for who comes back."),
		tailBytes:     gauge("statuswire_tail_bytes", "Memory of these statuses, resume.tail at most."),
		caughtUp:      counter("statuswire_caught_up_subscriptions_total", "Subscriptions of who came back, by where what they had missed came from: memory, or the stream.", "from"),
		recalled:      counter("statuswire_tail_replayed_total", "Statuses sent from memory to who came back."),

		verdicts:      counter("statuswire_callout_verdicts_total", "Login decisions, by verdict: granted, or the cause of the denial.", "verdict"),
		foreign:       counter("statuswire_callout_foreign_total", "Login requests of other servers in the cluster, passed over."),
		calloutQueued: gauge("statuswire_callout_queued", "Login requests that wait for a worker now."),

		submissions: counter("statuswire_submissions_total", "Statuses that services have published, whatever became of them."),
		publishes:   counter("statuswire_publishes_total", "Statuses that services have published, by result: forwarded to the stream, dropped, or the name of the error.", "result"),
		unanswered:  counter("statuswire_publishes_unanswered_total", "Refused statuses whose publisher did not ask for an answer."),

		requests:        counter("statuswire_requests_total", "Requests of browsers and operators, by endpoint and result: answered or refused.", "endpoint", "result"),
		requestDuration: figure{desc: gauge("statuswire_request_duration_seconds", "How long requests took from arrival to answer, by endpoint.", "endpoint").desc},

		auditEvents:     counter("statuswire_audit_events_total", "Security events that came, acts of administrators not counted."),
		auditLost:       counter("statuswire_audit_events_lost_total", "Security events that could not be written before the end."),
		auditOverflowed: counter("statuswire_audit_events_overflowed_total", "Security events of which the audit tells only kind and number, or the number alone."),
		auditRecords:    counter("statuswire_audit_records_total", "Records that the stream AUDIT has acknowledged; one stands for one or more events."),
		auditRetries:    counter("statuswire_audit_retries_total", "Times that a record had to be sent again to the stream AUDIT."),
		auditOpen:       gauge("statuswire_audit_open_records", "Records that wait now, for more events or for the stream."),

		actEvents:   counter("statuswire_audit_admin_acts_total", "Acts of administrators, kicks and revocations that came."),
		actRecords:  counter("statuswire_audit_admin_records_total", "Those that the stream AUDIT_ADMIN has acknowledged, each a record."),
		actsLost:    counter("statuswire_audit_admin_lost_total", "Those that are in the log alone: too many waited for the stream, or it did not acknowledge before the end."),
		actRetries:  counter("statuswire_audit_admin_retries_total", "Times that one had to be sent again to the stream AUDIT_ADMIN."),
		actsWaiting: gauge("statuswire_audit_admin_waiting", "Those that wait for the stream AUDIT_ADMIN now."),

		marksKept:        gauge("statuswire_marks", "Resumable connections whose places are kept: open ones, and such that have ended not long ago.", "state"),
		markBytes:        gauge("statuswire_marks_bytes", "Estimate of the memory that the places of resumable connections take."),
		marksForgotten:   counter("statuswire_marks_forgotten_total", "Ended connections whose places were given up before their time, for want of room."),
		marksRefused:     counter("statuswire_marks_refused_total", "Connections and subscriptions that are not resumable for want of room."),
		marksWritten:     counter("statuswire_marks_written_total", "Records of places that the stream MARKS has acknowledged, one for each connection."),
		markBytesWritten: counter("statuswire_marks_written_bytes_total", "Bytes of the messages that these records were in."),
		markFailures:     counter("statuswire_marks_write_failures_total", "Messages that the stream MARKS did not acknowledge; their records are written again."),

		logOmitted: counter("statuswire_log_lines_omitted_total", "Log lines that were left out because others like them came too fast; the log sums them up."),

		natsUp:            gauge("statuswire_nats_up", "1 if the NATS server answered the scrape, else 0."),
		natsConnections:   gauge("statuswire_nats_connections", "Connections to the NATS server now, our own parts' included; a browser has one only with links: keep, or while an authorization service of your own decides its login."),
		natsConnected:     counter("statuswire_nats_connections_opened_total", "Connections that the NATS server has had."),
		natsSubscriptions: gauge("statuswire_nats_subscriptions", "Subscriptions in the NATS server now."),
		natsMessages:      counter("statuswire_nats_messages_total", "Messages to (in) and from (out) the NATS server.", "direction"),
		natsBytes:         counter("statuswire_nats_bytes_total", "Payload bytes to (in) and from (out) the NATS server.", "direction"),
		natsSlowConsumers: counter("statuswire_nats_slow_consumers_total", "Connections that the NATS server found too slow."),
		natsMemory:        gauge("statuswire_nats_memory_bytes", "Memory of the process as the NATS server reports it."),
		storeBytes:        gauge("statuswire_nats_jetstream_storage_bytes", "What all streams hold on disk."),
		storeMemory:       gauge("statuswire_nats_jetstream_memory_bytes", "What all streams hold in memory."),
		apiRequests:       counter("statuswire_nats_jetstream_api_requests_total", "Requests to the JetStream API."),
		apiErrors:         counter("statuswire_nats_jetstream_api_errors_total", "Requests to the JetStream API that ended in an error."),
		streamHealthy:     gauge("statuswire_nats_stream_healthy", "1 if the stream can store, else 0.", "stream"),
		natsRestarts:      counter("statuswire_nats_restarts_total", "Times that the NATS server was started anew in the process, or should have been, because a stream could not store."),
		streamMessages:    gauge("statuswire_nats_stream_messages", "Messages in the stream now.", "stream"),
		streamBytes:       gauge("statuswire_nats_stream_bytes", "Bytes in the stream now.", "stream"),
		streamSubjects:    gauge("statuswire_nats_stream_subjects", "Subjects with at least one message in the stream.", "stream"),
		streamStored:      counter("statuswire_nats_stream_stored_total", "Messages that the stream has ever stored: its last sequence.", "stream"),
	}
}

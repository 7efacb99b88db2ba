package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/statuswire/statuswire/status"
)

// collector asks the sources at each scrape.
type collector struct {
	sources Sources
	figures figures
}

// figure is one metric whose value is taken from a source.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// emit sends values of figures to Prometheus.
type emit chan<- prometheus.Metric

func (e emit) figure(f figure, value float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

func newCollector(s Sources) *collector { return &collector{sources: s, figures: newFigures()} }

// Describe names every figure, also of sources that are not there.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.figures.all() {
		ch <- f.desc
	}
}

// Collect asks every source that is there.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	to, f, s := emit(ch), &c.figures, c.sources
	if s.Gateway != nil {
		f.gateway(to, s.Gateway())
	}
	if s.Fanout != nil {
		f.fanout(to, s.Fanout())
	}
	if s.Callout != nil {
		f.callout(to, s.Callout())
	}
	if s.Broadcaster != nil {
		f.broadcaster(to, s.Broadcaster())
	}
	if s.Edge != nil {
		f.edge(to, s.Edge())
	}
	if s.Audit != nil {
		f.audit(to, s.Audit())
	}
	if s.Marks != nil {
		f.marks(to, s.Marks())
	}
	if s.LogOmitted != nil {
		to.figure(f.logOmitted, float64(s.LogOmitted()))
	}
	if s.Storage != nil {
		f.storage(to, s.Storage())
	}
	if s.Server == nil {
		return
	}
	server, err := s.Server()
	if err != nil {
		to.figure(f.natsUp, 0)
		return
	}
	to.figure(f.natsUp, 1)
	f.server(to, server)
}

func (f *figures) gateway(to emit, s GatewayStats) {
	to.figure(f.credentials, float64(s.Credentials))
	to.figure(f.idleGrants, float64(s.IdleGrants))
	to.figure(f.idleBytes, float64(s.IdleBytes))
	to.figure(f.linksOpened, float64(s.Links))
	to.figure(f.linksOpen, float64(s.LinksKept))
	to.figure(f.slowCloses, float64(s.SlowCloses))
	to.figure(f.shed, float64(s.Shed))
	to.figure(f.queuedBytes, float64(s.Sheltered))
	to.figure(f.resumed, float64(s.Resumed))
	to.figure(f.httpConns, float64(s.HTTPConnections))
	to.figure(f.httpConnsLimit, float64(s.HTTPConnectionsLimit))
}

func (f *figures) fanout(to emit, s FanoutStats) {
	to.figure(f.topics, float64(s.Topics))
	to.figure(f.upstream, float64(s.Upstream))
	to.figure(f.upstreamLimit, float64(s.Limit))
	to.figure(f.doubles, float64(s.Doubles))
	to.figure(f.catchingUp, float64(s.CatchingUp))
	to.figure(f.mended, float64(s.Mended))
	to.figure(f.replayed, float64(s.Replayed))
	to.figure(f.unmended, float64(s.Failed))
	to.figure(f.keptTopics, float64(s.Kept))
	to.figure(f.tailStatuses, float64(s.TailStatuses))
	to.figure(f.tailBytes, float64(s.TailBytes))
	to.figure(f.caughtUp, float64(s.Hits), "memory")
	to.figure(f.caughtUp, float64(s.Misses), "stream")
	to.figure(f.recalled, float64(s.Recalled))
}

func (f *figures) callout(to emit, s CalloutStats) {
	to.figure(f.verdicts, float64(s.Granted), "granted")
	for cause, n := range s.Denied {
		to.figure(f.verdicts, float64(n), cause)
	}
	to.figure(f.foreign, float64(s.Foreign))
	to.figure(f.calloutQueued, float64(s.Queued))
}

// broadcaster tells every result, also of those that have not been yet: a rate
// needs the zero before the one.
func (f *figures) broadcaster(to emit, s BroadcasterStats) {
	to.figure(f.submissions, float64(s.Received))
	to.figure(f.publishes, float64(s.Forwarded), "forwarded")
	to.figure(f.publishes, float64(s.Dropped), "dropped")
	for _, e := range status.Errors() {
		n, been := s.Refused[e.Name]
		if been || e.Error.ErrCode <= status.ErrOverloaded.ErrCode {
			to.figure(f.publishes, float64(n), e.Name)
		}
	}
	to.figure(f.unanswered, float64(s.Unanswered))
}

func (f *figures) edge(to emit, endpoints map[string]EndpointStats) {
	for name, s := range endpoints {
		to.figure(f.requests, float64(s.Answered), name, "answered")
		to.figure(f.requests, float64(s.Refused), name, "refused")
		to <- prometheus.MustNewConstSummary(f.requestDuration.desc, s.Answered+s.Refused, s.DurationTotal.Seconds(), nil, name)
	}
}

func (f *figures) audit(to emit, s AuditStats) {
	to.figure(f.auditEvents, float64(s.Recorded))
	to.figure(f.auditLost, float64(s.Lost))
	to.figure(f.auditOverflowed, float64(s.Overflowed))
	to.figure(f.auditRecords, float64(s.Records))
	to.figure(f.auditRetries, float64(s.Retries))
	to.figure(f.auditOpen, float64(s.Open))
	to.figure(f.actEvents, float64(s.Acts.Recorded))
	to.figure(f.actRecords, float64(s.Acts.Written))
	to.figure(f.actsLost, float64(s.Acts.Lost))
	to.figure(f.actRetries, float64(s.Acts.Retries))
	to.figure(f.actsWaiting, float64(s.Acts.Waiting))
}

func (f *figures) marks(to emit, s MarkStats) {
	to.figure(f.marksKept, float64(s.Keys-s.Away), "open")
	to.figure(f.marksKept, float64(s.Away), "ended")
	to.figure(f.markBytes, float64(s.Bytes))
	to.figure(f.marksForgotten, float64(s.Forgotten))
	to.figure(f.marksRefused, float64(s.Refused))
	to.figure(f.marksWritten, float64(s.Written))
	to.figure(f.markBytesWritten, float64(s.WrittenBytes))
	to.figure(f.markFailures, float64(s.WriteFailures))
}

func (f *figures) storage(to emit, s StorageStats) {
	for name, healthy := range s.Healthy {
		value := 0.0
		if healthy {
			value = 1
		}
		to.figure(f.streamHealthy, value, name)
	}
	to.figure(f.natsRestarts, float64(s.Restarts))
}

func (f *figures) server(to emit, s ServerStats) {
	to.figure(f.natsConnections, float64(s.Connections))
	to.figure(f.natsConnected, float64(s.TotalConnections))
	to.figure(f.natsSubscriptions, float64(s.Subscriptions))
	to.figure(f.natsMessages, float64(s.InMsgs), "in")
	to.figure(f.natsMessages, float64(s.OutMsgs), "out")
	to.figure(f.natsBytes, float64(s.InBytes), "in")
	to.figure(f.natsBytes, float64(s.OutBytes), "out")
	to.figure(f.natsSlowConsumers, float64(s.SlowConsumers))
	to.figure(f.natsMemory, float64(s.MemoryBytes))
	to.figure(f.storeBytes, float64(s.StoreBytes))
	to.figure(f.storeMemory, float64(s.StoreMemoryBytes))
	to.figure(f.apiRequests, float64(s.APIRequests))
	to.figure(f.apiErrors, float64(s.APIErrors))
	for _, st := range s.Streams {
		to.figure(f.streamMessages, float64(st.Messages), st.Name)
		to.figure(f.streamBytes, float64(st.Bytes), st.Name)
		to.figure(f.streamSubjects, float64(st.Subjects), st.Name)
		to.figure(f.streamStored, float64(st.LastSequence), st.Name)
	}
}

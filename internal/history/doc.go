// Package history reads stored statuses out of the stream STATUS: the snapshot
// that a join answers, the messages that a subscriber missed, the newest
// sequence of each subject, and whole replays from a place in the stream, with
// what retention has dropped.
//
// Sequences are of one life of the stream, which an epoch names (epoch.go).
//
// It uses direct get (ADR-31) and makes no JetStream consumer: a read leaves
// nothing behind on the server. The edge and the fan-out are its callers; who
// may read what is theirs to decide.
//
//	snapshot, sequences, a batch
//	        │  one request: multi_last, or next_by_subj with a batch
//	        ▼
//	$JS.API.DIRECT.GET.STATUS ── message ── message ── 204 EOB ──▶ one inbox
//
//	replay: what is new? (multi_last) ──▶ batch ──▶ what is gone? (STREAM.INFO) ──┐
//	                                        ▲                                      │
//	                                        └────────────── until the tail ◀───────┘
//
// A batch get holds the stream's lock against writers while it runs (seen on
// nats-server 2.15.2), so no request asks for more than MaxBatch messages or
// maxBatchBytes bytes; longer answers are read in pages.
//
// When many replays want something of the same range, the batch does not go to
// the stream for each: the range is read once without a filter, into segments
// (segments.go), and each takes its own.
//
//	replay ──┐
//	replay ──┼── worth it? ── yes ──▶ segment ── 200 sequences, once ──▶ stream
//	replay ──┘        └────── no ───▶ a batch with a filter ───────────▶ stream
//
// What came out of a segment was stored when that was read, which is before it is
// asked what is gone, and no more than segmentLife before it is handed out.
package history

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// takeAlong moves what account STATE keeps from account STATUS, where it once was:
// nats-server stores by account, so it would make the streams anew, empty, and the
// conversations would be gone. It must run before the server. A stream that is in
// both is not touched, and refused: nobody can say which is the right one.
//
// In a cluster the servers know of each other's streams by account, so that no files
// can be moved; that is refused as well.
func takeAlong(o *server.Options) (moved []string, err error) {
	folder := func(account, stream string) string {
		return filepath.Join(o.StoreDir, server.JetStreamStoreDir, account, "streams", stream)
	}
	for _, stream := range stateStreams() {
		from, to := folder(AccountStatus, stream), folder(AccountState, stream)
		old, err := exists(from)
		if err != nil {
			return nil, err
		}
		now, err := exists(to)
		switch {
		case err != nil:
			return nil, err
		case !old:
			continue
		case now:
			return nil, fmt.Errorf("the stream %s is there twice, in %s and in %s: move the one away that is not to be kept", stream, from, to)
		case leavesProcess(o):
			return nil, fmt.Errorf("the stream %s is in account %s, where it was before there was an account %s: "+
				"a cluster cannot take it along, so bring the conversations over with `statuswire conversation list --json` and `import`, and begin with an empty folder", stream, AccountStatus, AccountState)
		}
		moved = append(moved, stream)
	}
	for _, stream := range moved {
		if err := os.MkdirAll(filepath.Dir(folder(AccountState, stream)), 0o700); err != nil {
			return nil, err
		}
		if err := os.Rename(folder(AccountStatus, stream), folder(AccountState, stream)); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// stateStreams are the names of the streams in account STATE.
func stateStreams() []string {
	return []string{StreamAudit, StreamAuditAdmin, StreamMarks, BucketStream(BucketDirectory), BucketStream(BucketKeys)}
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// bringOver is takeAlong, told in the log.
func (e *Engine) bringOver() error {
	moved, err := takeAlong(e.server)
	if err != nil {
		return fmt.Errorf("the streams of an earlier version: %w", err)
	}
	if len(moved) > 0 {
		e.logger.Warn("streams of an earlier version were moved to the account that they belong to now",
			"account", AccountState, "streams", strings.Join(moved, ", "))
	}
	return nil
}

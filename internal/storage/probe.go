package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// probeFile is the file that probe writes, beside the folder of the server.
const probeFile = "probe.tmp"

// errOtherVolume: what is missing is most likely there still, and would be hidden
// behind empty streams.
var errOtherVolume = errors.New("the folder of the streams is on another volume than at the start, and empty: mount the old one again, or restart to begin with what is there")

// probe is nil when the folder takes so many bytes to the disk, and so many files
// can be open at once. It leaves nothing behind.
func probe(dir string, bytes int64, files int) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, probeFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	if err := fill(f, bytes); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return openAtOnce(path, files-1)
}

// fill writes bytes that no file system leaves out as a hole.
func fill(f *os.File, bytes int64) error {
	block := make([]byte, min(bytes, 64<<10))
	for i := range block {
		block[i] = byte(i) | 1
	}
	for bytes > 0 {
		n, err := f.Write(block[:min(bytes, int64(len(block)))])
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return nil
}

func openAtOnce(path string, files int) error {
	var open []*os.File
	defer func() {
		for _, f := range open {
			_ = f.Close()
		}
	}()
	for i := range files {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("after %d files: %w", i, err)
		}
		open = append(open, f)
	}
	return nil
}

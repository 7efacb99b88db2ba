package bench

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// BenchmarkReadBlock reads a file of the size of a block of nats-server's store,
// which it reads in one piece, into memory that the process has not used before
// and into memory that it has: what the first replay pays to this machine.
func BenchmarkReadBlock(b *testing.B) {
	const size = 8 << 20
	path := filepath.Join(b.TempDir(), "block")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	take := func() []byte {
		memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			b.Fatal(err)
		}
		return memory
	}
	read := func(memory []byte) {
		if n, err := file.ReadAt(memory, 0); n != size {
			b.Fatalf("%d bytes: %v", n, err)
		}
	}
	free := func(memory []byte) {
		if err := syscall.Munmap(memory); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			memory := take()
			b.StartTimer()
			read(memory)
			b.StopTimer()
			free(memory)
			b.StartTimer()
		}
	})
	b.Run("used", func(b *testing.B) {
		memory := take()
		defer free(memory)
		read(memory)
		for b.Loop() {
			read(memory)
		}
	})
}

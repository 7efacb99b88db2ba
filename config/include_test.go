package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/config"
)

// bothFiles tries a text as statuswire.conf and behind nats.conf, each in the folder
// where it looks for what it includes; check gets the error, without the folder.
func bothFiles(t *testing.T, text string, others map[string]string, check func(t *testing.T, file string, err error)) {
	for _, file := range []string{"statuswire.conf", "nats.conf"} {
		t.Run(file, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range others {
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, name, text)
			}
			files := config.Files{Statuswire: file}
			if file == "nats.conf" {
				files = config.Files{NATS: file}
				text = string(statuswire.DefaultNATSConfig()) + "\n" + text
			}
			write(t, file, text)
			_, err := config.Load(files, nil)
			check(t, file, err)
		})
	}
}

// says is a check that the error is one line with all of that.
func says(words ...string) func(*testing.T, string, error) {
	return func(t *testing.T, file string, err error) {
		t.Helper()
		if err == nil {
			t.Fatal("no error")
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %v", err)
		}
		for _, word := range words {
			if word = strings.ReplaceAll(word, "FILE", file); !strings.Contains(err.Error(), word) {
				t.Errorf("it does not say %q: %v", word, err)
			}
		}
	}
}

// It ended in a stack overflow with a gigabyte of memory.
func TestAFileThatIncludesItselfIsAnError(t *testing.T) {
	t.Run("by its name", func(t *testing.T) {
		for _, file := range []string{"statuswire.conf", "nats.conf"} {
			t.Chdir(t.TempDir())
			write(t, file, "# round and round\ninclude ./"+file+"\n")
			files := config.Files{Statuswire: file}
			if file == "nats.conf" {
				files = config.Files{NATS: file}
			}
			_, err := config.Load(files, nil)
			says(`FILE:2: included file "./FILE" includes itself: FILE:2`)(t, file, err)
		}
	})
	t.Run("through others", func(t *testing.T) {
		bothFiles(t, "include a.conf", map[string]string{"a.conf": "x {\n include 'sub/b.conf'\n}\n", "sub/b.conf": "\n\nInclude \"../sub/c.conf\"", "sub/c.conf": "{ include ../a.conf }"},
			says(`sub/c.conf:1: included file "../a.conf" includes itself: FILE:`, ` → a.conf:2 → sub/b.conf:3 → sub/c.conf:1`))
	})
	t.Run("by another name", func(t *testing.T) {
		bothFiles(t, "include a.conf", map[string]string{"a.conf": "include sub/../a.conf", "sub/b.conf": ""}, says("a.conf:1: ", "includes itself"))
	})
}

func TestFilesThatAreIncludedTooDeepAreAnError(t *testing.T) {
	others := map[string]string{}
	for i := range 17 {
		others[fmt.Sprintf("f%d.conf", i)] = fmt.Sprintf("include f%d.conf", i+1)
	}
	others["f17.conf"] = ""
	bothFiles(t, "include f0.conf", others, says(`f15.conf:1: included file "f16.conf" is too deep: at most 16 files may include one another`))
}

// Each includes the next one many times: few files are very many.
func TestFilesThatAreIncludedTooOftenAreAnError(t *testing.T) {
	others := map[string]string{"f9.conf": ""}
	for i := range 9 {
		others[fmt.Sprintf("f%d.conf", i)] = strings.Repeat(fmt.Sprintf("include f%d.conf\n", i+1), 10)
	}
	bothFiles(t, "include f0.conf", others, says("is one too many: at most 500 may be included"))
}

func TestAnIncludedFileThatIsWrittenOtherwiseIsAnError(t *testing.T) {
	bothFiles(t, "include a.conf", map[string]string{"a.conf": "# fine\n# caf\xe9\n"}, says("a.conf:2: column 6: byte 0xe9 is not UTF-8"))
	bothFiles(t, "include a.conf", map[string]string{"a.conf": "\ufeff# Notepad"}, says("a.conf:1: the file begins with a byte order mark"))
	bothFiles(t, "include a.conf", map[string]string{"a.conf": "\xff\xfe#\x00"}, says("a.conf:1: column 1: byte 0xff is not UTF-8"))
	bothFiles(t, "include a.conf", map[string]string{"a.conf": "# fine\n#\x00 \x00U\x00T\x00F\x00"}, says("a.conf:2: a byte that is 0: save the file as UTF-8"))
}

func TestIncludesThatAreFineStayFine(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "limits.conf", "include more.conf\nqueue: 2MB")
	write(t, "more.conf", "categories: 7")
	write(t, "statuswire.conf", "limits { include limits.conf }\nretention {\n  include empty.conf\n}\ntoken { include 'empty.conf' }\n")
	write(t, "empty.conf", "# the same file twice\n")
	o, err := config.Load(config.Files{}, nil)
	if err != nil || o.Gateway.Limits.Categories.Value != 7 || o.Gateway.MaxQueueBytes != 2<<20 {
		t.Errorf("%v, %+v", err, o.Gateway)
	}
	write(t, "nats.conf", "\ufeff"+string(statuswire.DefaultNATSConfig())+"\ninclude empty.conf\ninclude limit.conf\n")
	write(t, "limit.conf", "lame_duck_duration: \"2m\"\n")
	if _, err := config.Load(config.Files{}, nil); err != nil {
		t.Error(err)
	}
}

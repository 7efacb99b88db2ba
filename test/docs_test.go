//go:build e2e

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/logtest"
)

// docsTimeout bounds one script of a page.
const docsTimeout = 60 * time.Second

// TestPagesDoWhatTheySay runs the marked snippets of every page against a server
// of its own, in a folder that looks like the root of the repository after
// `make run`: bin/statuswire, data/, and the npm packages that the page names.
func TestPagesDoWhatTheySay(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append([]string{"../README.md", "../client/README.md"}, pages...) {
		snippets := readSnippets(t, page)
		if len(snippets) == 0 {
			continue
		}
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			run := newPageRun(t, startStatuswire(t, "--demo"))
			for _, s := range snippets {
				if !run.do(t, page, s) {
					break // what follows needs it
				}
			}
		})
	}
}

// The page that follows with nats-core alone goes on when the server's data was reset.
func TestTheFollowPageGoesOnOverAReset(t *testing.T) {
	const page = "../docs/connect.md"
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	network := s.network(t)
	run := newPageRun(t, s)
	run.addresses = strings.NewReplacer("127.0.0.1:8080", network.address(), `"demo"`, `"c1"`)
	for _, snippet := range readSnippets(t, page) {
		if strings.HasSuffix(snippet.mark, "follow.mjs") || strings.Contains(snippet.mark+snippet.text, "main.mjs") {
			run.do(t, page, snippet)
		}
	}
	prints := func(what string) {
		t.Helper()
		if err := run.backgroundPrints([]string{what}); err != nil {
			t.Fatal(err)
		}
	}
	newPublisher(t, s).publish("engine", numbered("old", 5)...)
	prints("engine old 5")

	network.setTarget("")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	forget(t, dir, "STATUS")
	s = startStatuswireIn(t, dir)
	p := newPublisher(t, s)
	p.publish("engine", "new 1")
	network.setTarget(s.address())
	prints("engine new 1")
	p.publish("engine", "new 2")
	prints("engine new 2")
}

// pageRun is one page on its way.
type pageRun struct {
	dir        string
	env        []string
	addresses  *strings.Replacer // of the page, to those of the server
	background *logtest.Log
}

func newPageRun(t *testing.T, s *statuswire) *pageRun {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	nats, err := filepath.Abs(newNATSCLI(t, s).bin)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	links := npmPackages(t, root)
	for link, target := range map[string]string{"bin/statuswire": s.Bin, "bin/nats": nats, "data": s.DataDir} {
		links[link] = target
	}
	for link, target := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return &pageRun{
		dir: dir,
		env: append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"),
			"XDG_CONFIG_HOME="+filepath.Join(dir, "data"), "NO_COLOR=1", "GOWORK="+goWork(t, root, dir)),
		addresses: strings.NewReplacer(
			"127.0.0.1:8080", strings.TrimPrefix(s.HTTP, "http://"),
			"127.0.0.1:4222", strings.TrimPrefix(s.NATS, "nats://"),
			"http://127.0.0.1:9464/metrics", s.Metrics),
	}
}

// npmPackages are the links to the packages that a page may import: those of
// test/node, and the client as it was built.
func npmPackages(t *testing.T, root string) map[string]string {
	t.Helper()
	client := filepath.Join(root, "client")
	links := map[string]string{"node_modules/@statuswire/client": client}
	modules := filepath.Join(root, "test", "node", "node_modules")
	for _, pattern := range []string{"[a-z]*", "@*/*"} {
		packages, err := filepath.Glob(filepath.Join(modules, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packages {
			links[filepath.Join("node_modules", strings.TrimPrefix(p, modules))] = p
		}
	}
	if _, err := os.Stat(filepath.Join(client, "dist")); err != nil || len(links) == 1 {
		t.Fatal("the client is not built, or the dependencies of test/node are not installed: run `make node-deps`")
	}
	return links
}

var goVersion = regexp.MustCompile(`(?m)^go (\S+)$`)

// goWork lets `go run` in dir find this module, as it does in the repository.
func goWork(t *testing.T, root, dir string) string {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "go.work")
	text := fmt.Sprintf("go %s\nuse %s\n", goVersion.FindSubmatch(mod)[1], root)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// do does what the snippet's mark says; false when that failed.
func (r *pageRun) do(t *testing.T, page string, s snippet) bool {
	t.Helper()
	name, isFile := strings.CutPrefix(s.mark, "file: ")
	var err error
	switch {
	case isFile:
		err = os.WriteFile(filepath.Join(r.dir, name), []byte(r.addresses.Replace(s.text)), 0o600)
	case s.mark == "printed in the background":
		err = r.backgroundPrints(s.want)
	case s.mark == "run in the background":
		err = r.start(t, s)
	default:
		err = r.run(t, s)
	}
	if err != nil {
		t.Errorf("%s:%d: %v", page, s.line, err)
	}
	return err == nil
}

func (r *pageRun) command(s snippet, out *logtest.Log) *exec.Cmd {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", r.addresses.Replace(s.text))
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.Stdout, cmd.Stderr = out, out
	inGroupOfItsOwn(cmd)
	return cmd
}

func (r *pageRun) run(t *testing.T, s snippet) error {
	t.Helper()
	out := &logtest.Log{}
	cmd := r.command(s, out)
	if err := cmd.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(docsTimeout, func() { end(cmd) })
	defer timer.Stop()
	err := cmd.Wait()
	switch fails := strings.Contains(s.mark, "fails"); {
	case err != nil && !fails:
		return fmt.Errorf("%w\n%s", err, out)
	case err == nil && fails:
		return fmt.Errorf("the script was to fail\n%s", out)
	}
	if want := r.addresses.Replace(strings.Join(s.want, "\n")); !printed(strings.Split(want, "\n")).MatchString(out.String()) {
		return fmt.Errorf("the page promises\n%s\nbut it printed\n%s", want, out)
	}
	return nil
}

func (r *pageRun) start(t *testing.T, s snippet) error {
	t.Helper()
	r.background = &logtest.Log{}
	cmd := r.command(s, r.background)
	if err := cmd.Start(); err != nil {
		return err
	}
	t.Cleanup(func() { end(cmd); _ = cmd.Wait() })
	return r.backgroundPrints(s.want)
}

// backgroundPrints waits until the background script has printed the lines.
func (r *pageRun) backgroundPrints(want []string) error {
	if r.background == nil {
		return fmt.Errorf("nothing runs in the background")
	}
	deadline := time.Now().Add(docsTimeout)
	for pattern := printed(want); !pattern.MatchString(r.background.String()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the page promises\n%s\nbut in the background was printed\n%s", strings.Join(want, "\n"), r.background)
		}
	}
	return nil
}

var (
	helpCommand = regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+){0,2})  `)
	helpFlag    = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// TestOperatePageHasEveryCommandAndFlag compares docs/operate.md with --help.
func TestOperatePageHasEveryCommandAndFlag(t *testing.T) {
	page, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	help := func(args ...string) string {
		out, err := exec.Command(binary(t), append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("statuswire %s --help: %v", strings.Join(args, " "), err)
		}
		return string(out)
	}
	commands := helpCommand.FindAllStringSubmatch(help(), -1)
	if len(commands) < 5 {
		t.Fatalf("statuswire --help lists %d commands", len(commands))
	}
	for _, m := range commands {
		command := m[1]
		if !strings.Contains(string(page), "statuswire "+command) {
			t.Errorf("docs/operate.md does not have the command %q", command)
		}
		flags := helpFlag.FindAllString(help(strings.Fields(command)...), -1)
		slices.Sort(flags)
		for _, flag := range slices.Compact(flags) {
			if !strings.Contains(string(page), flag) {
				t.Errorf("docs/operate.md does not have %s of %q", flag, command)
			}
		}
	}
}

//go:build e2e && unix

package test

import (
	"os/exec"
	"syscall"
)

// inGroupOfItsOwn has a script, and what it starts, end by end alone.
func inGroupOfItsOwn(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// end ends the script and what it has started.
func end(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails when all has ended
}

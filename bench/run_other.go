//go:build !linux

package bench

import (
	"context"
	"errors"
)

var errLinuxOnly = errors.New("the benchmark runs on Linux only: it reads another process's CPU clock, and epoll")

// Run is for Linux only.
func Run(context.Context, Options) (Report, error) { return Report{}, errLinuxOnly }

// Replay is for Linux only.
func Replay(context.Context, ReplayOptions) (ReplayReport, error) {
	return ReplayReport{}, errLinuxOnly
}

// RunStorm is for Linux only.
func RunStorm(context.Context, StormOptions) (StormReport, error) { return StormReport{}, errLinuxOnly }

// RunIdle is for Linux only.
func RunIdle(context.Context, IdleOptions) (IdleReport, error) { return IdleReport{}, errLinuxOnly }

// RunJunk is for Linux only.
func RunJunk(context.Context, JunkOptions) (JunkReport, error) { return JunkReport{}, errLinuxOnly }

// Serve is for Linux only.
func Serve([]string) error { return errLinuxOnly }

// RunSiege is for Linux only.
func RunSiege(context.Context, SiegeOptions) (SiegeReport, error) { return SiegeReport{}, errLinuxOnly }

package main

import (
	"fmt"
	"runtime/debug"
)

// version is what the build recorded of itself: the module's version, the commit
// and whether the files differed from it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "statuswire (built without a version)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := "statuswire " + info.Main.Version
	if commit := settings["vcs.revision"]; commit != "" {
		text += fmt.Sprintf(" (commit %.12s", commit)
		if settings["vcs.modified"] == "true" {
			text += ", changed since"
		}
		text += ")"
	}
	return text + " " + info.GoVersion
}

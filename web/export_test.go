package web

import (
	"io/fs"
	"net/http"
)

// NewHandler serves another page than the embedded one; nil is a missing page.
func NewHandler(page fs.FS) http.Handler { return newHandler(page) }

package kv

import "github.com/statuswire/statuswire/internal/bucket"

// Options are the settings of a Directory. Zero means the default.
type Options = bucket.Options

// bucketName is the name of the bucket, which must exist.
const bucketName = "directory"

package kv

// Decode reads a value of the bucket. The error says that it counts as unknown.
var Decode = decode

// Encode writes a value of the bucket.
var Encode = encode

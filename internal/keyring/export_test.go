package keyring

// Decode reads a value of the bucket.
var Decode = decode

// Encode writes one.
var Encode = encode

package consumers

// Parse is what becomes of a request.
var Parse = parse

package link

// ConnectLine is what goes out on a link.
var ConnectLine = connectLine

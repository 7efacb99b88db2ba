package mark

// ReadRecords is how many records there are in a message of the stream.
func ReadRecords(data []byte) (int, error) {
	all, err := readRecords(data)
	return len(all), err
}

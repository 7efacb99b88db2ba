package mark

// ReadRecords is how many records there are in a message of the stream.
func ReadRecords(data []byte) (int, error) {
	all, err := readRecords(data)
	return len(all), err
}

// Due is how many keys the stream does not have as they are, or has had for too long.
func (s *Store) Due() int { return len(s.due()) }

// Write is what a keeper does whose stream takes everything.
func (s *Store) Write() (records int) {
	all := s.records(s.due())
	s.wrote(all)
	return len(all)
}

package engine

// Alive is true while the client of that id is connected to the server of that id,
// which must be the one that runs: the next one counts its clients anew.
func (e *Engine) Alive(serverID string, clientID uint64) bool {
	srv := e.running()
	return srv != nil && srv.ID() == serverID && srv.GetClient(clientID) != nil
}

// Disconnect closes the client's connection, whether it has logged in or not. It
// does nothing when the client, or its server, has gone.
func (e *Engine) Disconnect(serverID string, clientID uint64) {
	if srv := e.running(); srv != nil && srv.ID() == serverID {
		// The error says that there is no such client: it has gone by itself.
		_ = srv.DisconnectClientByID(clientID)
	}
}

package status

// Why a request of an operator was refused. A request that makes no sense is
// ErrBadRequest and what is passing ErrUnavailable here too.
var (
	ErrConversationNotFound = &Error{404, 20103, "conversation not found"}
	ErrConversationExists   = &Error{409, 20104, "conversation exists already"}
	ErrConversationOwner    = &Error{409, 20105, "the owner cannot be removed from the conversation"}
	ErrConversationBroken   = &Error{409, 20106, "the entry of the conversation cannot be read"}
	ErrConversationChanging = &Error{503, 20107, "the conversation is being changed by others"}
	ErrNotPurged            = &Error{503, 20109, "the conversation is deleted, but its statuses are not purged yet"}
	ErrInternal             = &Error{500, 20110, "internal error"}
	ErrConversationInvalid  = &Error{400, 20111, "conversation is invalid"}
	ErrKeyNotFound          = &Error{404, 20112, "there is no key of that name"}
	ErrKeyExists            = &Error{409, 20113, "the key exists already"}
	ErrKeyInvalid           = &Error{400, 20114, "key is invalid"}
	ErrKeyBuiltIn           = &Error{409, 20115, "the key is one of DIR/keys"}
	ErrTooManyKeys          = &Error{409, 20116, "there are too many keys"}
)

package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// What makes an identifier unusable. The errors of the Parse functions wrap these.
var (
	ErrBadConversationID = errors.New("bad conversation id")
	ErrBadCategory       = errors.New("bad category")
	ErrBadUserID         = errors.New("bad user id")
)

// Error is an error that crosses the wire, in the shape of the JetStream API.
// nats-server's own codes end below 20000, ours begin there, so that a client
// tells them apart by ErrCode alone.
//
// The sentinels below are the table of them all (docs/errors.md is the same
// table for readers). errors.Is compares ErrCode only, so an Error that came
// over the wire, with its own description, is its sentinel:
//
//	if errors.Is(err, status.ErrUnknownCategory) { … }
type Error struct {
	// Code is the class, as in HTTP: 400 the caller has to change something,
	// 503 the same again may succeed in a moment (429 too, which is JetStream's).
	Code int `json:"code"`
	// ErrCode says exactly what it is. It never changes its meaning.
	ErrCode int `json:"err_code"`
	// Description is for people: what was wrong, the value, what to do.
	Description string `json:"description"`
}

// Error is the description with the code that can be looked up.
func (e *Error) Error() string {
	return e.Description + " (err_code " + strconv.Itoa(e.ErrCode) + ")"
}

// Is reports whether target is an Error of the same ErrCode.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.ErrCode == e.ErrCode
}

// Withf is e with another description. e itself stays as it is.
func (e *Error) Withf(format string, args ...any) *Error {
	return &Error{Code: e.Code, ErrCode: e.ErrCode, Description: fmt.Sprintf(format, args...)}
}

// Response is the error as the answer to a JetStream publish or request:
// {"error":{"code":400,"err_code":20003,"description":"…"}}.
func (e *Error) Response() []byte {
	b, err := json.Marshal(struct {
		Error *Error `json:"error"`
	}{e})
	if err != nil { // two numbers and a string always marshal
		panic("status: " + err.Error())
	}
	return b
}

// Retryable reports whether the same again may succeed in a moment.
func (e *Error) Retryable() bool { return e.Code == 503 || e.Code == 429 }

// Why a status was not stored. Nothing of a refused status is stored or delivered.
var (
	ErrBadSubject          = &Error{400, 20001, "subject is not status.<conversation>.<category>"}
	ErrUnknownConversation = &Error{400, 20002, "unknown conversation"}
	ErrUnknownCategory     = &Error{400, 20003, "unknown category"}
	ErrCategoryMismatch    = &Error{400, 20004, "category is not the subject's"}
	ErrTooLarge            = &Error{400, 20005, "status is too large"}
	ErrNotUTF8             = &Error{400, 20006, "payload is not valid UTF-8"}
	ErrNotJSON             = &Error{400, 20007, "payload is not valid JSON"}
	ErrNotObject           = &Error{400, 20008, "payload is not a JSON object"}
	ErrTooDeep             = &Error{400, 20009, "payload nests too deep"}
	ErrDuplicateField      = &Error{400, 20010, "field is there twice"}
	ErrNoText              = &Error{400, 20011, "text is missing"}
	ErrBadText             = &Error{400, 20012, "text is not a string"}
	ErrBadTimestamp        = &Error{400, 20013, "timestamp is not RFC 3339"}
	ErrBadMetadata         = &Error{400, 20014, "metadata is not an object"}
	ErrBadPriority         = &Error{400, 20015, "priority is not known"}
	ErrBadID               = &Error{400, 20016, "id is not usable"}
	ErrBadReply            = &Error{400, 20017, "reply subject is no inbox"}
	ErrHeaderNotAllowed    = &Error{400, 20020, "header is not allowed"}
	ErrBadHeader           = &Error{400, 20021, "header is malformed"}
	ErrTooManyHeaders      = &Error{400, 20022, "headers are too many or too large"}
	ErrUnavailable         = &Error{503, 20030, "not available at the moment"}
	ErrOverloaded          = &Error{503, 20031, "more statuses than can be taken at the moment"}
)

// ErrorInfo is one row of the table of wire errors.
type ErrorInfo struct {
	Name  string // stable, lower case: "unknown_category"
	Error *Error // the sentinel
	Do    string // what the caller can do about it
}

// Errors is the table of wire errors, by ErrCode.
func Errors() []ErrorInfo {
	return []ErrorInfo{
		{"bad_subject", ErrBadSubject, "publish to `status.<conversation>.<category>`"},
		{"unknown_conversation", ErrUnknownConversation, "create it first: `statuswire conversation create`"},
		{"unknown_category", ErrUnknownCategory, "use one of those that the description lists"},
		{"category_mismatch", ErrCategoryMismatch, "leave `category` out of the body, or make it equal"},
		{"too_large", ErrTooLarge, "stay within 65536 bytes; send a link to what is larger"},
		{"not_utf8", ErrNotUTF8, "encode the payload as UTF-8"},
		{"not_json", ErrNotJSON, "send one JSON object; the description says where it breaks"},
		{"not_object", ErrNotObject, "send one JSON object"},
		{"too_deep", ErrTooDeep, "nest at most 64 deep"},
		{"duplicate_field", ErrDuplicateField, "write each field once"},
		{"no_text", ErrNoText, "put what happened into `text`"},
		{"bad_text", ErrBadText, "make `text` a string"},
		{"bad_timestamp", ErrBadTimestamp, "write it as `2024-01-19T12:00:00Z`, or leave it out"},
		{"bad_metadata", ErrBadMetadata, "make `metadata` an object, or leave it out"},
		{"bad_priority", ErrBadPriority, "use low, normal, high or urgent, or leave it out"},
		{"bad_id", ErrBadID, "use 1 to 128 printable ASCII characters"},
		{"bad_reply", ErrBadReply, "publish with JetStream's `publish`, or with an inbox of your own; this one is only logged"},
		{"header_not_allowed", ErrHeaderNotAllowed, "rename it: of `Nats-*` only `Nats-Msg-Id` may be set, `Status` and `Status-*` are reserved"},
		{"bad_header", ErrBadHeader, "send each name as one word, each value as one line, `Nats-Msg-Id` once"},
		{"too_many_headers", ErrTooManyHeaders, "stay within 32 headers and 4096 bytes"},
		{"unavailable", ErrUnavailable, "publish again with the same id"},
		{"overloaded", ErrOverloaded, "publish again with the same id, more slowly"},
		{"bad_request", ErrBadRequest, "the description says what is wrong with it"},
		{"not_theirs", ErrNotTheirs, "create the conversation, or add the user: `statuswire conversation add`"},
		{"conversation_not_found", ErrConversationNotFound, "look at the id: `statuswire conversation list`"},
		{"conversation_exists", ErrConversationExists, "use another id, or change the one that is there"},
		{"conversation_owner", ErrConversationOwner, "delete the conversation instead, or leave the owner in it"},
		{"conversation_broken", ErrConversationBroken, "delete it and create it again"},
		{"conversation_changing", ErrConversationChanging, "try again"},
		{"not_purged", ErrNotPurged, "delete it again"},
		{"internal", ErrInternal, "see the server's log"},
		{"conversation_invalid", ErrConversationInvalid, "the description says what is wrong with it"},
		{"key_not_found", ErrKeyNotFound, "look at the name: `statuswire key list`"},
		{"key_exists", ErrKeyExists, "use another name, or end the key that has it: `statuswire key end`"},
		{"key_invalid", ErrKeyInvalid, "the description says what is wrong with it"},
		{"key_built_in", ErrKeyBuiltIn, "replace its file while the server is stopped; the description says how"},
		{"too_many_keys", ErrTooManyKeys, "end keys that nobody uses"},
		{"ahead_of_stream", ErrAheadOfStream, "the server's data was reset: forget all positions and begin from nothing"},
		{"too_many_replays", ErrTooManyReplays, "wait until one that you asked for has ended"},
		{"too_many_requests", ErrTooManyRequests, "wait for the answers to those before, then ask again"},
		{"unauthorized", ErrUnauthorized, "get a good token; the description says what is wrong with this one"},
		{"expired", ErrExpired, "come back with a fresh token"},
		{"origin_not_allowed", ErrOriginNotAllowed, "add the page's origin to `allowed_origins`"},
		{"not_granted", ErrNotGranted, "ask for what the user may see"},
		{"too_many_categories", ErrTooManyCategories, "name fewer in `categories`, or raise `limits.categories`"},
		{"limited", ErrLimited, "wait as `Retry-After` says, or give something up; the description names the limit"},
		{"kicked", ErrKicked, "come back, unless the reason says otherwise"},
	}
}

// maxQuotedBytes bounds what an error repeats of its input.
const maxQuotedBytes = 64

// Quote is s for an error text: quoted, escaped, and cut after 64 bytes.
func Quote(s string) string {
	if len(s) <= maxQuotedBytes {
		return strconv.Quote(s)
	}
	cut := maxQuotedBytes
	for cut > maxQuotedBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// Package access is what browsers may do on this node, and for how long: which token
// holds which grant, and how a grant begins, grows, is renewed, reviewed and ends.
//
//	Login ── screened ──▶ credential of the token ── has no grant that will do ──▶ Verdicts
//	                          │   ▲                                                  │
//	          the browsers    │   └──────────── the next grant ◀─────────────────────┘
//	          that share it ◀─┘
//
// A grant changes as a whole, for all browsers of its token: when a browser joins one
// more conversation (Join), when it is about to end (a timer), when somebody's access
// has changed (Changed), when an operator wants it gone (Forget). What cannot be renewed
// ends with its browsers.
//
// Access decides nothing itself: the grants are those of the signed user JWTs that the
// verdicts bring. Of browsers it knows what Browser says.
package access

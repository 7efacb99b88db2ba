package natsproto

import "strings"

// Matches is true when a subscription to pattern receives subject. Subject is
// literal; pattern may hold * and >.
func Matches(pattern, subject string) bool {
	for {
		p, pRest, pMore := strings.Cut(pattern, ".")
		if p == ">" && !pMore {
			return subject != ""
		}
		s, sRest, sMore := strings.Cut(subject, ".")
		if s == "" || p != "*" && p != s || pMore != sMore {
			return false
		}
		if !pMore {
			return true
		}
		pattern, subject = pRest, sRest
	}
}

// IsLiteral is true for a valid subject without wildcards: tokens that are not
// empty, parted by dots, without white space.
func IsLiteral(subject string) bool {
	if strings.ContainsAny(subject, " \t\r\n\f") {
		return false
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return true
}

// IsPattern is true for what may be subscribed to: a valid subject, in which any token
// may be * and the last one >.
func IsPattern(subject string) bool {
	if strings.ContainsAny(subject, " \t\r\n\f") {
		return false
	}
	for {
		token, rest, more := strings.Cut(subject, ".")
		if token == "" || token == ">" && more {
			return false
		}
		if !more {
			return true
		}
		subject = rest
	}
}

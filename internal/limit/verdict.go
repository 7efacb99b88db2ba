package limit

import "time"

// Verdict says what a limit has to say of one operation. The zero Verdict lets
// it pass.
type Verdict struct {
	// Name is the limit that was hit; "" for none.
	Name Name
	// Limit is its value, Used how many were held or counted before the
	// operation, Wanted how many more the operation needs: above 1 only for a
	// wildcard, which needs all the categories it covers that are not held.
	Limit, Used, Wanted int
	// RetryAfter is how long it takes until the same operation passes if nothing
	// else happens. 0 when time alone does not help: something must be given up.
	RetryAfter time.Duration
	// Dry is true when the limit is in dry-run: count the hit and go on.
	Dry bool
	// Also names one more limit in dry-run that the same operation hit; "" for none.
	Also Name
	// Free is true for a SUB that Changes took as the restoring of one that a
	// reconnect had ended, so it was not counted.
	Free bool
}

// Hit reports whether a limit was hit, in dry-run or not.
func (v Verdict) Hit() bool { return v.Name != "" }

// Refused reports whether the operation must not go on.
func (v Verdict) Refused() bool { return v.Name != "" && !v.Dry }

// RetryAfterSeconds is RetryAfter in whole seconds, rounded up, as texts and the
// HTTP header Retry-After want it: waiting as long is enough. 0 stays 0.
func (v Verdict) RetryAfterSeconds() int {
	return int((v.RetryAfter + time.Second - 1) / time.Second)
}

// with adds what a second limit said of the same operation. A refusal goes first.
func (v Verdict) with(second Verdict) Verdict {
	switch {
	case !second.Hit():
		return v
	case !v.Hit():
		return second
	case second.Refused():
		second.Also = v.Name
		return second
	}
	v.Also = second.Name
	return v
}

// Usage is where a limit stands.
type Usage struct {
	Name   Name
	Limit  int // negative: none
	Used   int
	DryRun bool
}

// Left is how many more are allowed: 0 when the limit is reached or exceeded,
// Unlimited when there is none.
func (u Usage) Left() int {
	if u.Limit < 0 {
		return Unlimited
	}
	return max(0, u.Limit-u.Used)
}

// Exceeded reports whether more is held than the limit allows: it was lowered, a
// wildcard has grown, or it is in dry-run.
func (u Usage) Exceeded() bool { return u.Limit >= 0 && u.Used > u.Limit }

package elasticsearch

import (
	"regexp"
	"strconv"
	"strings"
)

// verdict is what becomes of an item or a request.
type verdict int8

const (
	stored  verdict = iota
	present         // a replay met its own document
	retry           // later
	slow            // later, and somebody has to do something first
	broken          // later, but not for ever: the server fails on it
	split           // a request is cut in halves
	reject          // never
)

// judgeItem decides on one item of a bulk request. reason says why an item is rejected.
func judgeItem(it *item) (v verdict, reason string) {
	switch {
	case it.failureStore == "used":
		return reject, ReasonFailureStore
	case it.status >= 200 && it.status < 300:
		return stored, ""
	case it.status == 409:
		return present, ""
	case blocked(it.kind, it.reason): // 403 and 429
		return retry, ""
	case it.status == 429 || it.status == 502 || it.status == 503 || it.status == 504:
		return retry, ""
	case it.status == 401 || it.status == 403 || it.status == 404 || waitsForPeople(it.kind, it.reason):
		return slow, ""
	case it.status == 413:
		return reject, ReasonTooLarge
	case it.status >= 500:
		return broken, ""
	case it.status == 400 && strings.HasSuffix(it.kind, "_parsing_exception"): // mapper_ on OpenSearch and old servers, document_ on new ones
		return reject, ReasonMapping
	case it.status >= 400:
		return reject, ReasonRejected
	}
	return retry, "" // no status that means anything: not known to be stored
}

// blocked says whether an index or the cluster is closed to writing for now: for want of room, or because somebody closed it.
func blocked(kind, reason string) bool {
	return kind == "cluster_block_exception" || kind == "index_closed_exception" || strings.HasPrefix(reason, "blocked by:") || strings.Contains(reason, "] blocked by: [")
}

// waitsForPeople says whether an item is refused, with 400, for a reason that has nothing to do with it: no more shards may be made.
func waitsForPeople(kind, reason string) bool {
	return kind == "validation_exception" && strings.Contains(reason, "maximum") && strings.Contains(reason, "shards open")
}

// judgeRequest decides on a request that was refused as a whole.
func judgeRequest(status int, kind, reason string) verdict {
	switch {
	case status == 413 || status == 400:
		return split
	case status == 429 && overLimit(reason):
		return split
	case blocked(kind, reason), status == 429, status == 502, status == 503, status == 504:
		return retry
	case status >= 500:
		return broken
	}
	return slow // no privilege, a wrong address, a proxy: nothing that the documents can help
}

var (
	operationBytes = regexp.MustCompile(`coordinating_operation_bytes=(\d+)`)
	limitBytes     = regexp.MustCompile(`max_coordinating(?:_and_primary)?_bytes=(\d+)`)
)

// overLimit says whether a request was refused because it alone is larger than what the server may have under way: it would be refused
// for ever.
func overLimit(reason string) bool {
	operation, limit := operationBytes.FindStringSubmatch(reason), limitBytes.FindStringSubmatch(reason)
	if operation == nil || limit == nil {
		return false
	}
	size, err1 := strconv.ParseInt(operation[1], 10, 64)
	most, err2 := strconv.ParseInt(limit[1], 10, 64)
	return err1 == nil && err2 == nil && size > most
}

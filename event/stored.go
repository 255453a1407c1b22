package event

// Document is an event as an archive stores it. Body aliases the loop's buffer: whoever keeps it longer than the call copies it.
type Document struct {
	ID       ID
	Dataset  string
	Tenant   string
	Received int64  // record time, Unix milliseconds: it decides the index or the folder, so that a replay meets its own document
	Time     int64  // event time, Unix milliseconds
	Body     []byte // the ECS document, one line of JSON without a line end
}

// Rejection says that an archive will never take a document, and why.
type Rejection struct {
	ID     ID
	Reason string // a stable word, for counting
	Detail string // what the archive said
}

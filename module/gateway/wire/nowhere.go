package wire

import "net/http"

// Nowhere is a response writer whose answer nobody gets.
type Nowhere struct {
	// Status is the status that was written, 0 if none was.
	Status int
	header http.Header
}

// Header returns the headers.
func (n *Nowhere) Header() http.Header {
	if n.header == nil {
		n.header = http.Header{}
	}
	return n.header
}

// WriteHeader keeps the status.
func (n *Nowhere) WriteHeader(status int) {
	if n.Status == 0 {
		n.Status = status
	}
}

// Write drops the text.
func (n *Nowhere) Write(text []byte) (int, error) {
	n.WriteHeader(http.StatusOK)
	return len(text), nil
}

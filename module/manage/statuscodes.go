package manage

import (
	"maps"
	"slices"
	"strconv"
)

// StatusCode is a code and its meaning.
type StatusCode struct {
	Code        Code   `json:"code"`
	Description string `json:"description"`
}

// listStatusCodes lists the codes of the gate and of this API.
func (r *request) listStatusCodes() (*Answer, error) {
	return &Answer{Statuses: show(slices.Sorted(maps.Keys(codes)), showCode)}, nil
}

func showCode(c Code) StatusCode { return StatusCode{c, c.Description()} }

func (r *request) getStatusCode() (*Answer, error) {
	n, err := strconv.Atoi(r.vars["status_code_id"])
	if _, known := codes[Code(n)]; err != nil || !known {
		return nil, refuse(CodeNotFound, "status_code_id", "neither the gate nor this API answers with this code; GET /v2/status_codes lists all codes")
	}
	return &Answer{StatusCode: new(showCode(Code(n)))}, nil
}

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

// listStatusCodes answers the codes that the gate and this API give.
func (r *request) listStatusCodes() (*Answer, error) {
	return &Answer{Statuses: show(slices.Sorted(maps.Keys(codes)), showCode)}, nil
}

func showCode(c Code) StatusCode { return StatusCode{c, c.Description()} }

func (r *request) getStatusCode() (*Answer, error) {
	n, err := strconv.Atoi(r.vars["status_code_id"])
	if _, known := codes[Code(n)]; err != nil || !known {
		return nil, refuse(CodeNotFound, "status_code_id", "neither the gate nor this API answers with such a code; GET /v2/status_codes lists those that they do")
	}
	return &Answer{StatusCode: new(showCode(Code(n)))}, nil
}

package portal

import (
	"bytes"
	"encoding/csv"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// downloadKeys sends the keys that the page of all keys finds as CSV.
func (v *visit) downloadKeys() error {
	p, err := v.allKeys()
	if err != nil {
		return err
	}
	return v.sendCSV(p.Keys, "keys.csv")
}

// sendCSV sends keys as a file. Because spreadsheets open the file, no cell may
// begin a formula.
func (v *visit) sendCSV(keys []manage.Key, name string) error {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	columns := []string{"state"}
	for _, f := range manage.KeyFields {
		columns = append(columns, f.Name)
	}
	lines := [][]string{append(columns, "revoked_at", "revoked_by", "revoked_reason")}
	now := time.Now()
	for _, k := range keys {
		lines = append(lines, cellsOf(&k, now))
	}
	if err := w.WriteAll(lines); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	// An error means that the client has gone away.
	_, _ = v.w.Write(text.Bytes())
	return nil
}

func cellsOf(k *manage.Key, now time.Time) []string {
	values := []any{k.Standing(k.OwnerSuspended, now)}
	for _, f := range manage.KeyFields {
		values = append(values, f.Value(k))
	}
	values = append(values, k.RevokedAt, k.RevokedBy, k.RevokedReason)
	cells := make([]string, len(values))
	for i, value := range values {
		cells[i] = manage.NoFormula(manage.Cell(value))
	}
	return cells
}

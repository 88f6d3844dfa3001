package keys_test

import (
	"math"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestGranted(t *testing.T) {
	for name, c := range map[string]struct {
		a     keys.Allotment
		taken int64
		want  int64
	}{
		"all":                            {keys.Allotment{Most: 10, Want: 4}, 6, 4},
		"what is left":                   {keys.Allotment{Most: 10, Want: 4}, 7, 3},
		"nothing is left":                {keys.Allotment{Most: 10, Want: 4}, 10, 0},
		"the quota was lowered":          {keys.Allotment{Most: 10, Want: 4}, 12, 0},
		"no quota":                       {keys.Allotment{Want: 4}, 0, 0},
		"a negative quota":               {keys.Allotment{Most: math.MinInt64, Want: 4}, 1, 0},
		"nothing is wanted":              {keys.Allotment{Most: 10}, 3, 0},
		"given back":                     {keys.Allotment{Most: 10, Want: -4}, 6, -4},
		"given back, beyond the quota":   {keys.Allotment{Most: 10, Want: -4}, 16, -4},
		"given back more than was taken": {keys.Allotment{Most: 10, Want: -4}, 3, -3},
		"given back, the most":           {keys.Allotment{Want: math.MinInt64}, math.MaxInt64, -math.MaxInt64},
		"a debt":                         {keys.Allotment{Most: 10, Want: 4, Debt: true}, 9, 4},
		"a debt beyond all counting":     {keys.Allotment{Most: 10, Want: 4, Debt: true}, math.MaxInt64 - 1, 1},
		"a debt that is given back":      {keys.Allotment{Most: 10, Want: -4, Debt: true}, 16, -4},
	} {
		if got := c.a.Granted(c.taken); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

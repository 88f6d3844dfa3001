package manage

import "github.com/caddy-api-keys/gateway/module/keys"

// wouldRevoke answers a dry run: what a search finds now. A key or collaborator
// that is made afterwards is revoked with the others all the same.
func (r *request) wouldRevoke(s *search) (*Answer, error) {
	f, err := r.lookFor(s)
	if err != nil {
		return nil, err
	}
	answer := answerFound(f)
	err = r.view(func(from keys.Reader) error { return r.describeFound(from, answer, f) })
	return answer, err
}

// describeFound adds the found credentials to the answer of a dry run, with their
// last uses, up to the size of a page.
func (r *request) describeFound(from keys.Reader, answer *Answer, f found) error {
	answer.Keys = []Key{}
	for _, c := range f.keys[:min(len(f.keys), maxPage)] {
		k, err := r.showUsed(from, c)
		if err != nil {
			return err
		}
		answer.Keys = append(answer.Keys, k)
	}
	return nil
}

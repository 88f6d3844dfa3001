package importer_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/caddy-api-keys/gateway/cmd/importer"
)

// The descriptors of the tests' sites are what an import gives.
func TestDescriptorsAreAsImported(t *testing.T) {
	folder := os.DirFS("../../testdata/proto")
	res, err := importer.Proto(t.Context(), importer.ProtoOptions{
		Sources: []fs.FS{folder}, Files: []string{"pkg.proto", "live.proto", "kinds.proto"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := fs.ReadFile(folder, "service.binpb")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(res.Descriptors, want) {
		t.Error("testdata/proto/service.binpb is not what an import gives; to make it again: caddy api-keys routes import proto " +
			"--import-path testdata/proto pkg.proto live.proto kinds.proto --out testdata/proto/service.routes --force")
	}
}

// A descriptor set that an import wrote can be imported.
func TestDescriptorsCanBeImported(t *testing.T) {
	set, err := os.ReadFile("../../testdata/proto/service.binpb")
	if err != nil {
		t.Fatal(err)
	}
	res, err := importer.Proto(t.Context(), importer.ProtoOptions{DescriptorSet: set})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(res.Descriptors, set) {
		t.Error("the import of a descriptor set gives other descriptors")
	}
}

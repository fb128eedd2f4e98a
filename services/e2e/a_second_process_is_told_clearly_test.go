package e2e

import (
	"context"
	"strings"
	"testing"

	"tocsin.dev/services/app/suite"
)

// A second process on the same folder or port ends at once and says why.
func TestASecondProcessIsToldClearly(t *testing.T) {
	w := begin(t, 0)
	folder := w.settings
	folder.Listen = "127.0.0.1:0"
	err := suite.Run(w.ctx, folder, suite.Options{})
	if err == nil || !strings.Contains(err.Error(), w.Dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process on the folder: %v", err)
	}
	port := w.settings
	port.DataDir, port.Listen = t.TempDir(), strings.TrimPrefix(w.URL, "http://")
	err = suite.Run(context.WithoutCancel(w.ctx), port, suite.Options{})
	if err == nil || !strings.Contains(err.Error(), "port") {
		t.Errorf("a second process on the port: %v", err)
	}
}

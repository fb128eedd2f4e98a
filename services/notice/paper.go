package notice

import (
	"context"

	"tocsin.dev/services/notice/carrier"
)

// deliverPaper is for channels whose messages become a print file.
func (w *worker) deliverPaper(_ context.Context, _ *content, runs []*run) error {
	for _, r := range runs {
		r.answers = []carrier.Answer{{Class: carrier.Account, Detail: "no printer is configured"}}
	}
	return nil
}

package notice

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/print"
)

// deliverPaper writes letters into a print file for each run, or faxes into a
// file each. A file is named after its attempt, so after a crash its presence says whether it was made.
func (w *worker) deliverPaper(_ context.Context, k *content, runs []*run) error {
	for _, r := range runs {
		letters := make([]print.Letter, len(r.letters))
		for i := range r.letters {
			one, err := w.paper(&r.letters[i], r.attempt.id, i)
			if err != nil {
				return err
			}
			letters[i] = one
		}
		name := w.s.printName(k.org.ID, k.c.Number, r.attempt.id)
		write := print.Write
		if w.c.channel == Fax {
			write = print.WriteFaxes
		}
		err := write(w.s.paperDir(w.c.channel, k.org.ID), name, print.Sender{Name: k.org.Name, Address: k.org.Sender.Post}, letters)
		if err != nil {
			w.s.log.Error("a file for the printer or fax gateway could not be written", "org", k.org.ID, "case", k.c.Number, "channel", w.c.channel.String(), "error", err)
			r.answers = []carrier.Answer{{Class: carrier.NotSent, Detail: "the file could not be written"}}
			continue
		}
		r.answers = []carrier.Answer{{Class: carrier.Accepted, ID: name}}
	}
	return nil
}

// paperDir is where the files of a channel on paper stand.
func (s *Service) paperDir(ch Channel, org string) string {
	if ch == Fax {
		return filepath.Join(s.cfg.FaxDir, org)
	}
	return filepath.Join(s.cfg.PrintDir, org)
}

func (s *Service) printName(org, caseID string, attempt int64) string {
	return org + "-" + caseID + "-" + strconv.FormatInt(attempt, 10)
}

// paper renders one letter. The code on it leads back to the message.
func (w *worker) paper(l *letter, attempt int64, pos int) (print.Letter, error) {
	m, err := l.text.Render(l.rec)
	if err != nil {
		return print.Letter{}, block("empty_merge", "%v", err)
	}
	if err := w.inspectText(m.Text, l); err != nil {
		return print.Letter{}, err
	}
	c := l.to.reach
	out := print.Letter{Code: paperCode(attempt, pos, l.id), Reference: reference(l.id), Name: c.GivenName.Reveal() + " " + c.FamilyName.Reveal(), Subject: m.Subject, Text: m.Text, Language: l.text.Language(), Fax: c.Fax.Reveal()}
	for _, line := range c.Address {
		out.Address = append(out.Address, line.Reveal())
	}
	return out, nil
}

// paperCode is the return code of a letter.
func paperCode(attempt int64, pos int, id carrier.ID) string {
	return fmt.Sprintf("T%d-%d-%s", attempt, pos, reference(id)[:5])
}

package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Pages renders the console's pages.
type Pages struct {
	byName map[string]*template.Template
	// version changes with the static files, so that browsers may keep them.
	version string
}

// New parses every template. A broken one is an error that names its file.
// funcs are words that the caller adds to those of this package.
func New(funcs template.FuncMap) (*Pages, error) {
	p := &Pages{byName: map[string]*template.Template{}}
	var err error
	if p.version, err = digestOf(staticFiles); err != nil {
		return nil, err
	}
	base := template.New("layout.html").Funcs(Funcs()).Funcs(funcs).Funcs(template.FuncMap{
		"static": func(name string) string { return "/static/" + p.version + "/" + name },
	})
	if base, err = base.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"); err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, name)
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", short, err)
		}
		p.byName[short] = t
	}
	return p, nil
}

func digestOf(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

// Render writes a page. Nothing is sent before the whole page is there, so a
// broken page is an error and not half an answer.
func (p *Pages) Render(w http.ResponseWriter, status int, name string, page any) error {
	t := p.byName[name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, page); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w) // the reader is gone if this fails
	return nil
}

// Static serves the style sheet, the script and the icon below /static/.
func (p *Pages) Static() http.Handler {
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, "/static/"+p.version+"/")
		if !ok || rest == "" {
			http.NotFound(w, r)
			return
		}
		r2 := r.Clone(r.Context())
		r2.URL.Path = "/" + rest
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		serve.ServeHTTP(w, r2)
	})
}

// Frame is what every page has around its content.
type Frame struct {
	Title string
	// User, Org and Roles name who is signed in; User is empty before that.
	User, Org string
	Roles     string
	// Here is the part of the console that the page belongs to: "alerts", "cases", "deadlines", "people" or "dead".
	Here  string
	Admin bool
	Work  bool
	// People says that the reader may look for people.
	People bool
	Drill  bool
	// Problems are what is wrong with a form that was sent.
	Problems []Problem
	// Done is what has just been done, in a sentence.
	Done string
	Now  time.Time
	// Live is the address of the page's event stream, or empty.
	Live string
	// Zone is where the reader's organisation reads times.
	Zone *time.Location
	// Back leads one step up.
	Back     string
	BackText string
}

// Problem is one thing that is wrong with a form. Field is the id of the
// control, or empty if it is about the whole.
type Problem struct{ Field, Text string }

// Wrong returns what is wrong with one field, or "".
func (f Frame) Wrong(field string) string {
	for _, p := range f.Problems {
		if p.Field == field {
			return p.Text
		}
	}
	return ""
}

package cloudsim

import (
	"html/template"
	"net/http"
	"net/url"
)

// signInPage is what a person sees: one form with a choice of yes and no.
type signInPage struct {
	Title, Note string
	AskCode     bool
	UserCode    string
	Query       string // kept for the authorization answer
}

func showPage(w http.ResponseWriter, status int, p signInPage) {
	tmpl := template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<body><h1>{{.Title}}</h1>{{with .Note}}<p>{{.}}</p>{{end}}
<form method="post"><input type="hidden" name="query" value="{{.Query}}">
{{if .AskCode}}<p><label>Code <input name="user_code" value="{{.UserCode}}" autofocus></label></p>{{end}}
<p><label>Account <input name="account" value="store-clerk"></label></p>
<p><button name="action" value="approve">Approve</button> <button name="action" value="deny">Deny</button></p>
</form></body></html>
`))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = tmpl.Execute(w, p) // the browser may be gone
}

const devicePageTitle = "Simulated cloud: sign in a device"

func (s *SignIn) serveDevicePage(w http.ResponseWriter, r *http.Request) {
	showPage(w, http.StatusOK, signInPage{Title: devicePageTitle, AskCode: true, UserCode: r.URL.Query().Get("user_code")})
}

func (s *SignIn) serveDeviceAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	code, account := r.PostFormValue("user_code"), r.PostFormValue("account")
	p := signInPage{Title: devicePageTitle, AskCode: true, UserCode: code}
	var err error
	switch {
	case r.PostFormValue("action") == "deny":
		p.Note, err = "Denied. The device will notice within some seconds.", s.Deny(code)
	case account == "":
		p.Note = "Type an account."
		showPage(w, http.StatusUnprocessableEntity, p)
		return
	default:
		p.Note, err = "Approved. The device will notice within some seconds.", s.Approve(code, account)
	}
	if err != nil {
		p.Note = "No device waits with this code. Read it again from the device."
		showPage(w, http.StatusNotFound, p)
		return
	}
	showPage(w, http.StatusOK, p)
}

func (s *SignIn) serveAuthorizePage(w http.ResponseWriter, r *http.Request) {
	showPage(w, http.StatusOK, signInPage{Title: "Simulated cloud: sign in", Query: r.URL.RawQuery})
}

func (s *SignIn) serveAuthorizeAnswer(w http.ResponseWriter, r *http.Request) {
	request, err := url.ParseQuery(r.PostFormValue("query"))
	account := r.PostFormValue("account")
	if r.PostFormValue("action") == "deny" {
		account = ""
	}
	var to string
	if err == nil {
		to, err = s.Authorize(request, account)
	}
	if err != nil {
		http.Error(w, "this sign-in request is not acceptable", http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

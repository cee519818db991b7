package archive

import (
	"bytes"
	"strings"
	"testing"
)

const phrase = "Password for the firmware, shown this once and stored nowhere:"

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"assignment", "password=hunter2 next", "password=[removed] next"},
		{"assignment to a longer name", "DB_PASSWORD=hunter2", "DB_PASSWORD=[removed]"},
		{"a short name", "SMTP_PASS=hunter2 pass=a b", "SMTP_PASS=[removed] pass=[removed] b"},
		{"a short name in JSON", `{"pass": "one two", "db-pass":"x"}`, `{"pass": "[removed]", "db-pass":"[removed]"}`},
		{"a short option", "tool --db-pass hunter2", "tool --db-pass [removed]"},
		{"with blanks", "passwd = hunter2", "passwd = [removed]"},
		{"in quotes, with blanks inside", `secret="one two" next`, `secret="[removed]" next`},
		{"in single quotes", `token='one two' next`, `token='[removed]' next`},
		{"JSON", `{"password": "one \" two", "user": "eve"}`, `{"password": "[removed]", "user": "eve"}`},
		{"JSON in a string", `{"said":"{\"token\":\"abc def\",\"user\":\"eve\"}"}`, `{"said":"{\"token\":\"[removed]\",\"user\":\"eve\"}"}`},
		{"YAML", "api_key: abc", "api_key: [removed]"},
		{"of a query", "GET /?a=1&access_token=abc&b=2", "GET /?a=1&access_token=[removed]&b=2"},
		{"mount option", "//srv/x /x cifs rw,username=eve,password=a,vers=3", "//srv/x /x cifs rw,username=eve,password=[removed],vers=3"},
		{"option of a command", "ran tool --password hunter2 --user eve", "ran tool --password [removed] --user eve"},
		{"option with a longer name", "tool --proxy-passwd hunter2", "tool --proxy-passwd [removed]"},
		{"option in a list", `["tool", "--token", "abc", "x"]`, `["tool", "--token", "[removed]", "x"]`},
		{"element", "<proxy><password>hunter2</password></proxy>", "<proxy><password>[removed]</password></proxy>"},
		{"attribute", `<proxy user="eve" password="a b"/>`, `<proxy user="eve" password="[removed]"/>`},
		{"header", "Authorization: Basic dXNlcjpwYXNz\nHost: a", "Authorization: [removed]\nHost: a"},
		{"header of a proxy", "proxy-authorization: Digest a=b, c", "proxy-authorization: [removed]"},
		{"bearer alone", "sent Bearer abcdef.ghi-jkl", "sent Bearer [removed]"},
		{"words that only begin so stay", "a basic configuration, the bearer of it", ""},
		{"cookie", "Cookie: sid=1; b=2", "Cookie: [removed]"},
		{"URL", "http_proxy http://eve:hunter2@proxy:3128/ x", "http_proxy http://eve:[removed]@proxy:3128/ x"},
		{"URL with a token for a user", "remote https://ghp_0123456789abcdefABCDEF@host/x", "remote https://[removed]@host/x"},
		{"user and password", "curl -s -u eve:hunter2 --user=eve:s3cret --user 'eve:p x' http://host", "curl -s -u eve:[removed] --user=eve:[removed] --user 'eve:[removed] x' http://host"},
		{"user and password, one by one", `["curl","-u","eve:hunter2"]`, `["curl","-u","eve:[removed]"]`},
		{"URL without a user", "redis://:hunter2@db", "redis://:[removed]@db"},
		{"URL whose password has an at", "ftp://eve:p@ss:w/rd@host/x", "ftp://eve:[removed]@host/x"},
		{"PEM", "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----\nb", "a\n-----BEGIN RSA PRIVATE KEY-----[removed]-----END RSA PRIVATE KEY-----\nb"},
		{"PEM that is cut off", "-----BEGIN PRIVATE KEY-----\nMIIB\nAA", "-----BEGIN PRIVATE KEY-----[removed]"},
		{"PEM whose beginning is cut off", "AAAA\nBB==\n-----END PRIVATE KEY-----\nb", "[removed]-----END PRIVATE KEY-----\nb"},
		{"PEM on one line", `"-----BEGIN EC PRIVATE KEY-----\nMI\n-----END EC PRIVATE KEY-----"`, `"-----BEGIN EC PRIVATE KEY-----[removed]-----END EC PRIVATE KEY-----"`},
		{"phrase", `told "` + phrase + ` bcdfghjkntrs"`, `told "` + phrase + ` [removed]"`},
		{"Japanese around it", "パスワードは password=ひみつ です", "パスワードは password=[removed] です"},
		{"two on a line", "password=a token=b", "password=[removed] token=[removed]"},
		{"bytes that are no UTF-8", "\xff password=\xfe\xfd end", "\xff password=[removed] end"},

		{"a certificate stays", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", ""},
		{"the evidence of fault 5 stays", `"what": "password of cisco-amp-scan-svc", "read": "locked"`, ""},
		{"a path stays", "open /etc/passwd: no such file", ""},
		{"ids of user and group stay", "docker run --user 1000:1000 -u 0:0; sort -u /a:/b ssh://builder@host", ""},
		{"URL with a port stays", "http://proxy:3128/x mail@host", ""},
		{"names of programs stay", "systemd-ask-password failed; ssh host@name", ""},
		{"names that only end so stay", "bypass=1 compass: north passed=3 passes: 4", ""},
		{"empty values stay", "password=\npassword=\"\" next", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.text
			}
			got, n := NewRedactor(phrase).Redact([]byte(tt.text))
			if string(got) != want || n != strings.Count(want, removed) {
				t.Errorf("%d: %s\nwant    %s", n, got, want)
			}
			again, n := NewRedactor(phrase).Redact(got)
			if string(again) != want || n != 0 {
				t.Errorf("again %d: %s", n, again)
			}
		})
	}
}

func TestRedactJSON(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a value in a string", `{"read": "password=hunter2"}`, `{"read": "password=[removed]"}`},
		{"a member", "{\"password\": \"hunter2\",\n \"n\": 1}", "{\"password\": \"[removed]\",\n \"n\": 1}"},
		{"a header ends with its string", `{"b": "Authorization: Basic aGk=", "a": [1, "<>"]}`, `{"b": "Authorization: [removed]", "a": [1, "<>"]}`},
		{"lines", "{\"a\":\"Cookie: b\"}\n{\"a\":\"Cookie: <c>\",\"d\":1}\n{\"torn", "{\"a\":\"Cookie: [removed]\"}\n{\"a\":\"Cookie: [removed]\",\"d\":1}\n{\"torn"},
		{"not JSON at all", "Cookie: b", "Cookie: [removed]"},
		{"nothing to remove", `{ "a" : 1 }`, `{ "a" : 1 }`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, n := NewRedactor().redactJSON([]byte(tt.text))
			if string(got) != tt.want || n != strings.Count(tt.want, removed) {
				t.Errorf("%d: %s\nwant    %s", n, got, tt.want)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("a\n", " b")
	f.Add(`{"x":"`, `"}`)
	f.Add("--password \"", "\n-----BEGIN PRIVATE KEY-----")
	f.Add("", "[removed]")
	f.Fuzz(func(t *testing.T, before, after string) {
		const word = "xyzzy0plugh"
		if strings.Contains(before+after, word) {
			t.Skip()
		}
		// Whatever stands about it, an assignment on a line of its own is taken out.
		got, n := NewRedactor(phrase).Redact([]byte(before + "\npassword=" + word + "\n" + after))
		if n < 1 || bytes.Contains(got, []byte(word)) {
			t.Errorf("%d: %q", n, got)
		}
		once, _ := NewRedactor(phrase).Redact([]byte(before + after))
		if n := bytes.Count(once, []byte(removed)); n > 0 && len(once) > len(before)+len(after)+n*len(removed) {
			t.Errorf("grew to %q", once)
		}
	})
}

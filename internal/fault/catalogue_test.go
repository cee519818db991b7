package fault

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// severities as the behaviour contract names them; where it names two, the higher.
var severities = map[ID]Severity{5: Minor, 6: Major, 7: Critical, 8: Critical, 9: Critical, 11: Major, 16: Critical, 18: Critical, 19: Critical}

func TestCatalogueHasTheNineFaultsInOrder(t *testing.T) {
	var ids []ID
	for _, f := range All() {
		ids = append(ids, f.ID)
		if f.Severity != severities[f.ID] {
			t.Errorf("fault %d: severity %q, expected %q", f.ID, f.Severity, severities[f.ID])
		}
		if !f.Judged {
			t.Errorf("fault %d is not judged", f.ID)
		}
		if got, ok := Lookup(f.ID); !ok || got.ID != f.ID {
			t.Errorf("Lookup(%d) = %v, %v", f.ID, got.ID, ok)
		}
	}
	if want := []ID{5, 6, 7, 8, 9, 11, 16, 18, 19}; !slices.Equal(ids, want) {
		t.Errorf("All() has %v, expected %v", ids, want)
	}
	if _, ok := Lookup(99); ok {
		t.Error("Lookup(99) found a fault")
	}
}

func TestAllCannotBeChangedByItsCaller(t *testing.T) {
	All()[0].ID = 99
	if All()[0].ID != 5 {
		t.Error("a caller's change went into the catalogue")
	}
}

func TestEveryTextIsThereInBothLanguages(t *testing.T) {
	for _, f := range All() {
		for name, text := range map[string]Text{"name": f.Name, "meaning": f.Meaning, "detection": f.Detection, "remedy": f.Remedy} {
			if text.In(English) == "" || hasJapanese(text.In(English)) {
				t.Errorf("fault %d: English %s: %q", f.ID, name, text.EN)
			}
			if !hasJapanese(text.In(Japanese)) {
				t.Errorf("fault %d: Japanese %s has no Japanese characters: %q", f.ID, name, text.JA)
			}
		}
	}
}

func hasJapanese(s string) bool {
	for _, r := range s {
		if unicode.In(r, unicode.Hiragana, unicode.Katakana) {
			return true
		}
	}
	return false
}

func TestCausesAreInTheCatalogueAndHaveNoCycle(t *testing.T) {
	for _, f := range All() {
		if path := causePath(f.ID, nil); path != nil {
			t.Errorf("fault %d explains itself: %v", f.ID, path)
		}
	}
	for id, cause := range map[ID]ID{18: 19, 8: 16, 9: 16} {
		if f, _ := Lookup(id); !slices.Contains(f.CausedBy, cause) {
			t.Errorf("fault %d: causes %v, expected %d among them", id, f.CausedBy, cause)
		}
	}
}

// causePath is a way from a fault over its causes back to itself or to one that the catalogue does not have, nil if there is none.
func causePath(id ID, seen []ID) []ID {
	seen = append(slices.Clone(seen), id)
	f, ok := Lookup(id)
	if !ok || slices.Contains(seen[:len(seen)-1], id) {
		return seen
	}
	for _, cause := range f.CausedBy {
		if path := causePath(cause, seen); path != nil {
			return path
		}
	}
	return nil
}

func TestPickLanguage(t *testing.T) {
	for _, c := range []struct {
		flag string
		env  map[string]string
		want Language
		bad  bool
	}{
		{want: English},
		{flag: "ja", want: Japanese},
		{flag: "en", env: map[string]string{"LC_ALL": "ja_JP.UTF-8"}, want: English},
		{flag: "de", want: English, bad: true},
		{flag: "JA", want: English, bad: true},
		{env: map[string]string{"LANG": "ja_JP.UTF-8"}, want: Japanese},
		{env: map[string]string{"LC_MESSAGES": "ja_JP.eucJP", "LANG": "en_US.UTF-8"}, want: Japanese},
		{env: map[string]string{"LC_ALL": "C", "LC_MESSAGES": "ja_JP.UTF-8"}, want: English},
		{env: map[string]string{"LC_MESSAGES": "ja"}, want: Japanese},
		{env: map[string]string{"LC_MESSAGES": "ja.UTF-8"}, want: Japanese},
		{env: map[string]string{"LANG": "jam_JM.UTF-8"}, want: English},
		{env: map[string]string{"LANG": "fr_FR.UTF-8"}, want: English},
	} {
		got, err := PickLanguage(c.flag, func(name string) string { return c.env[name] })
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("PickLanguage(%q, %v) = %q, %v; expected %q", c.flag, c.env, got, err, c.want)
		}
	}
}

// TestLanguageAsked: --lang counts also where the command line was not read to its end.
func TestLanguageAsked(t *testing.T) {
	for _, c := range []struct {
		args, locale string
		want         Language
	}{
		{"odd", "ja_JP.UTF-8", Japanese},
		{"odd --lang ja", "C", Japanese},
		{"--lang=en odd", "ja_JP.UTF-8", English},
		{"--lang fr", "ja_JP.UTF-8", Japanese},
		{"odd --lang", "C", English},
	} {
		if got := LanguageAsked(strings.Fields(c.args), func(string) string { return c.locale }); got != c.want {
			t.Errorf("%q, locale %s: %s, want %s", c.args, c.locale, got, c.want)
		}
	}
}

func TestTextWith(t *testing.T) {
	user := Text{EN: "user %s", JA: "ユーザー %s"}.With("amp")
	got := Text{EN: "delete %s of %d", JA: "%[2]d の%[1]sを削除"}.With(user, 5)
	if want := (Text{EN: "delete user amp of 5", JA: "5 のユーザー ampを削除"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestEvidenceIn(t *testing.T) {
	e := NewEvidence(Text{EN: "user", JA: "ユーザー"}, Verbatim("/bin/sh"), "/etc/passwd", Text{EN: "none", JA: "なし"})
	b, err := json.Marshal(e)
	if want := `{"what":"user","read":"/bin/sh","from":"/etc/passwd","expected":"none","ja":{"what":"ユーザー","expected":"なし"}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	for language, want := range map[Language]Evidence{
		English:  {What: "user", Read: "/bin/sh", From: "/etc/passwd", Expected: "none"},
		Japanese: {What: "ユーザー", Read: "/bin/sh", From: "/etc/passwd", Expected: "なし"},
	} {
		if got := e.In(language); got != want {
			t.Errorf("in %s: %+v, want %+v", language, got, want)
		}
	}
	// What an earlier version wrote has no Japanese.
	if old := (Evidence{What: "user", Read: "none", From: "/etc/passwd"}); old.In(Japanese) != old {
		t.Errorf("of an earlier version: %+v", old.In(Japanese))
	}
}

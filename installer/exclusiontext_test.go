package installer

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// Whatever may be wrong with an exclusion is said in Japanese too, of the same values in the same order.
func TestExclusionTexts(t *testing.T) {
	verbs := regexp.MustCompile(`%[.0-9]*[a-z]`)
	for _, format := range policy.ExclusionFormats {
		ja := exclusionTexts[format]
		if !slices.Equal(verbs.FindAllString(format, -1), verbs.FindAllString(ja, -1)) {
			t.Errorf("%q / %q: the two take different arguments", format, ja)
		}
		if !strings.ContainsFunc(ja, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) }) {
			t.Errorf("%q: the Japanese is %q", format, ja)
		}
	}
	if len(exclusionTexts) != len(policy.ExclusionFormats) {
		t.Errorf("%d texts for %d formats", len(exclusionTexts), len(policy.ExclusionFormats))
	}
}

func TestNewExclusionInBothLanguages(t *testing.T) {
	_, err := NewExclusion(policy.ByUser, "backup", false)
	if got, want := fault.ErrorText(err), (fault.Text{
		EN: `uid "backup": expected a number from 0 to 4294967294`, JA: `uid "backup": 0 から 4294967294 までの数値を指定してください`,
	}); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if x, err := NewExclusion(policy.ByPath, "/srv/", false); err != nil || x.Value != "/srv/" {
		t.Errorf("%+v, %v", x, err)
	}
}

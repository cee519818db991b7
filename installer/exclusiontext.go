package installer

import (
	"errors"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// exclusionTexts are the Japanese of policy.ExclusionFormats: the policy stands on the floor of the texts and does not have them.
var exclusionTexts = map[string]string{
	policy.ExclusionNoChildren:  "%s による除外では子プロセスを指定できません。指定できるのは %s による除外だけです",
	policy.ExclusionNoUID:       "uid %q: 0 から 4294967294 までの数値を指定してください",
	policy.ExclusionNoKind:      "kind %q: 次のいずれかを指定してください: %s",
	policy.ExclusionNoClass:     "%q による除外: 次のいずれかを指定してください: %s",
	policy.ExclusionNotFromRoot: "パス %q: ルートから始まるパスを指定してください。ルート自体は指定できません",
	policy.ExclusionTooLong:     "パス %.40q…: %d バイトあります。%d バイト以下のパスを指定してください",
	policy.ExclusionNotClean:    `パス %q: "//"、"/./"、"/../" を含まないパスを指定してください`,
	policy.ExclusionNotText:     "パス %q: XML で表せないため、制御文字を含まない UTF-8 のパスを指定してください",
	policy.ExclusionsFull:       "すでに上限の %d 件に達しています(%s による除外)",
}

// NewExclusion is policy.NewExclusion with an error in the languages of the product.
func NewExclusion(class policy.Class, value string, children bool) (policy.Exclusion, error) {
	x, err := policy.NewExclusion(class, value, children)
	return x, exclusionError(err)
}

// exclusionError puts what is wrong with an exclusion into the languages of the product; other errors stay as they are.
func exclusionError(err error) error {
	wrong, ok := errors.AsType[*policy.ExclusionError](err)
	if !ok {
		return err
	}
	return &fault.Error{Text: fault.Text{EN: wrong.Format, JA: exclusionTexts[wrong.Format]}.With(wrong.Args...), Err: err}
}

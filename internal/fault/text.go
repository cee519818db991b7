package fault

import (
	"fmt"
	"strings"
)

// Language is a language of the product's user-facing texts, by its ISO 639-1 code.
type Language string

const (
	English  Language = "en"
	Japanese Language = "ja"
)

// In gives the text in a language. English stands in for a language that the product does not have.
func (t Text) In(l Language) string {
	if l == Japanese && t.JA != "" {
		return t.JA
	}
	return t.EN
}

// With fills in the verbs of package fmt in both languages. An argument that is a Text is filled in by language.
func (t Text) With(args ...any) Text {
	return Text{EN: t.format(English, args), JA: t.format(Japanese, args)}
}

func (t Text) format(l Language, args []any) string {
	filled := make([]any, len(args))
	for i, arg := range args {
		if word, ok := arg.(Text); ok {
			arg = word.In(l)
		}
		filled[i] = arg
	}
	return fmt.Sprintf(t.In(l), filled...)
}

// Join joins texts in each language.
func Join(texts []Text, separator Text) Text {
	var joined Text
	for i, t := range texts {
		if i > 0 {
			joined.EN, joined.JA = joined.EN+separator.EN, joined.JA+separator.JA
		}
		joined.EN, joined.JA = joined.EN+t.In(English), joined.JA+t.In(Japanese)
	}
	return joined
}

// Verbatim is a text that is the same in every language: a path, a command, a value as read.
func Verbatim(s string) Text { return Text{EN: s, JA: s} }

// translated is the Japanese text where it differs from the English one.
func (t Text) translated() string {
	if t.JA == t.EN {
		return ""
	}
	return t.JA
}

// PickLanguage decides the language of user-facing texts: what the flag --lang says, else the locale of messages, in the order of
// locale(7): LC_ALL, LC_MESSAGES, LANG. A locale in another language than the product's is answered in English. A flag that
// names no language of the product is an error.
func PickLanguage(flag string, getenv func(string) string) (Language, error) {
	switch l := Language(flag); l {
	case English, Japanese:
		return l, nil
	case "":
		return localeLanguage(getenv), nil
	}
	return English, Errorf(Text{EN: "--lang %q: expected en or ja", JA: "--lang %q: en または ja を指定してください"}, flag)
}

// LanguageAsked is PickLanguage for a command line that was not read to its end, since something is wrong with it: --lang is looked for in its
// words, and one that names no language of the product leaves the locale's.
func LanguageAsked(args []string, getenv func(string) string) Language {
	flag := ""
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--lang="); ok {
			flag = value
		} else if arg == "--lang" && i+1 < len(args) {
			flag = args[i+1]
		}
	}
	if language, err := PickLanguage(flag, getenv); err == nil {
		return language
	}
	return localeLanguage(getenv)
}

func localeLanguage(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		locale := getenv(name)
		if locale == "" {
			continue
		}
		// ja, ja_JP, ja_JP.UTF-8, ja.UTF-8@modifier; not jam (Jamaican Creole).
		if language, _, _ := strings.Cut(strings.NewReplacer(".", "_", "@", "_").Replace(locale), "_"); language == "ja" {
			return Japanese
		}
		return English
	}
	return English
}

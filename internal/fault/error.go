package fault

// Error is an error in the languages of the product: what a program itself has to say to a person. Error gives the English words, for
// logs; In gives those of a language.
type Error struct {
	Text
	Err error // what it rests on; nil if nothing
}

// Errorf fills in the verbs of package fmt in each language, as fmt.Errorf does in one. The first argument that is an error is
// wrapped. An argument that has words in a language is filled in with them; other errors are English in every language.
func Errorf(t Text, args ...any) error {
	e := &Error{}
	filled := make([]any, len(args))
	for i, arg := range args {
		filled[i] = arg
		err, ok := arg.(error)
		if !ok {
			continue
		}
		if e.Err == nil {
			e.Err = err
		}
		filled[i] = ErrorText(err)
	}
	e.Text = t.With(filled...)
	return e
}

// ErrorText gives the words of an error. One that has none in Japanese is English in both languages.
func ErrorText(err error) Text {
	if worded, ok := err.(interface{ In(Language) string }); ok {
		return Text{EN: worded.In(English), JA: worded.In(Japanese)}
	}
	return Verbatim(err.Error())
}

func (e *Error) Error() string { return e.EN }

// Unwrap gives what the error rests on.
func (e *Error) Unwrap() error { return e.Err }

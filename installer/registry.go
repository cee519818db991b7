package installer

import "fmt"

// kinds makes an empty step of each kind that a journal can name.
var kinds = map[string]func() Step{}

// register makes a kind of step known to Recover. Each is registered once, from an init function.
func register(newStep func() Step) {
	kind := newStep().Kind()
	if kinds[kind] != nil {
		panic(fmt.Sprintf("installer: two kinds of step are called %q", kind))
	}
	kinds[kind] = newStep
}

package host

// LoginDefs is a parsed login.defs(5).
type LoginDefs struct{}

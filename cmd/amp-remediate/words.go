package main

import "github.com/ampconnector/amp/internal/fault"

// complaint is what is wrong with a command line, with verbs of package fmt.
type complaint fault.Text

func (c complaint) wrong(args ...any) error { return fault.Errorf(fault.Text(c), args...) }

var (
	errCommandLine = complaint{"usage: %v", "コマンドラインの指定に誤りがあります: %v"}
	errOutput      = complaint{"--output %q: expected text or json", "--output %q: text または json を指定してください"}
	errDryYes      = complaint{"--dry-run changes nothing and --yes lets it change: give one of them", "変更を行わない --dry-run と変更を許可する --yes は同時に指定できません"}
	errNoNumbers   = complaint{"--dry-run and --yes stand with fault numbers, or all", "--dry-run と --yes は、フォールト番号または all とともに指定してください"}
	errExplainOne  = complaint{"explain takes one fault number", "explain にはフォールト番号を 1 つ指定してください"}
)

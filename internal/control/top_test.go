package control

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// fullTop is an answer with its lists full and each text as long as text.
func fullTop(text string) *Top {
	top := &Top{Time: noon, Source: "ebpf", Level: "critical"}
	kinds := []KindRate{{"write", 12.5}, {"exec", 1}}
	for _, minutes := range []int{1, 5, 15} {
		w := TopWindow{Minutes: minutes, Covered: 60, Events: 7, Rate: 0.5}
		for range MaxTopPrograms {
			w.Programs = append(w.Programs, TopProgram{Exe: "/" + text, Device: 1, Inode: 2, Comm: text, PID: 3, UID: 4, Parent: text, Processes: 5, Events: 6, Rate: 7, Kinds: kinds})
		}
		for range MaxTopProcesses {
			w.Processes = append(w.Processes, TopProcess{PID: 1, UID: 2, PPID: 3, Comm: text, Exe: text, Parent: text, Events: 4, Rate: 5, Kinds: kinds})
		}
		for range MaxTopFiles {
			w.Files = append(w.Files, TopFile{Path: text, Events: 3, AtLeast: 2})
		}
		for range MaxTopPeers {
			w.Peers = append(w.Peers, TopPeer{Address: "2001:db8::1", Port: 443, Protocol: "tcp", Inbound: true, Flows: 3, AtLeast: 3, Bytes: 1 << 40})
		}
		top.Windows = append(top.Windows, w)
	}
	return top
}

func TestTopFollowsItsSchema(t *testing.T) {
	s := loadSchema(t, "top.schema.json")
	for name, top := range map[string]*Top{
		"full":    fullTop("x"),
		"private": {Time: noon, Source: "none", Level: "normal", Private: true, Windows: []TopWindow{{Minutes: 1, Programs: []TopProgram{}, Processes: []TopProcess{}, Files: []TopFile{}, Peers: []TopPeer{}}}},
	} {
		b, err := json.Marshal(top)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		json.Unmarshal(b, &v)
		if err := s.check("top", s.root, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{`{}`, `{"level":"fine"}`, `{"windows":{}}`, `{"windows":[{"files":[{"path":1}]}]}`} {
		var v any
		json.Unmarshal([]byte(text), &v)
		if s.check("top", s.root, v) == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// Whatever a host calls its files, the answer is one message.
func TestTopIsBounded(t *testing.T) {
	for _, text := range []string{"x", strings.Repeat("\x01", 255), strings.Repeat("\x01", 512), strings.Repeat("<", MaxAnswer/8)} {
		line, err := encodeAnswer(Answer{Top: fullTop(text)})
		if err != nil || len(line) > MaxAnswer {
			t.Fatalf("%d bytes, %v", len(line), err)
		}
		a, err := decodeAnswer(line)
		if err != nil || a.Top == nil || len(a.Top.Windows) != 3 {
			t.Fatalf("%+v, %v", a, err)
		}
		t.Logf("%d bytes of text: %d bytes, %d programs", len(text), len(line), len(a.Top.Windows[0].Programs))
		if len(text) <= 512 && len(a.Top.Windows[0].Programs) < 3 {
			t.Errorf("%d programs are left", len(a.Top.Windows[0].Programs))
		}
	}
}

func TestAnswerMustFitTheRequest(t *testing.T) {
	for verb, a := range map[Verb]Answer{ReadTop: {Status: example()}, ReadStatus: {Top: fullTop("x")}} {
		socket := serve(t, &Server{Handle: func(_ context.Context, _ Request) Answer { return a }})
		if _, err := Ask(t.Context(), socket, Request{Verb: verb}); err == nil {
			t.Errorf("%s: the other's answer was taken", verb)
		}
	}
}

package main

import (
	"os"
	"slices"
	"testing"
)

func TestRecognise(t *testing.T) {
	own, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"Apache, whole", string(own), []string{"Apache-2.0"}},
		{"MIT, wrapped", "Permission is hereby granted, free of\ncharge, to any person obtaining a copy", []string{"MIT"}},
		{"BSD with three clauses", "Redistributions in binary form must reproduce the above copyright notice … may be used to endorse or promote products derived from this software", []string{"BSD-3-Clause"}},
		{"BSD with two", "Redistributions in binary form must reproduce the above\n copyright notice", []string{"BSD-2-Clause"}},
		{"MPL names the GPL", "Mozilla Public License Version 2.0 … GNU General Public License", []string{"MPL-2.0"}},
		{"MPL with a comma, beside BSD", "Mozilla Public License, version 2.0 … GNU Lesser General Public License … may be used to endorse or promote products derived from this software", []string{"BSD-3-Clause", "MPL-2.0"}},
		{"GPL", "GNU GENERAL PUBLIC LICENSE", []string{"GPL"}},
		{"nothing known", "All rights reserved.", nil},
	} {
		if got := recognise(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestGPLDoesNotFit(t *testing.T) {
	for _, id := range []string{"GPL", "LGPL"} {
		if fits[id] {
			t.Errorf("%s is listed as fitting", id)
		}
	}
}

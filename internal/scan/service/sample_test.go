package service

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestTheSampleIsEICAR compares the sample with what is known of the test file everywhere: definitions that others make find that one and no other.
func TestTheSampleIsEICAR(t *testing.T) {
	const want = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
	sum := sha256.Sum256(sample())
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA-256 %s, expected %s", got, want)
	}
}

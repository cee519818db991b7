package verdicts

import "crypto/sha256"

// Content is the SHA-256 of the bytes that were scanned. One file's verdict is good for another one with the same bytes: packages, compilers and
// policy stores write the same content again and again, as files of their own.
type Content [sha256.Size]byte

// mostContents is how many are remembered, in memory alone: after a restart the files that did not change are known by their identities.
const mostContents = 16_384

// KnownClean reports whether nothing was found in a content in the epoch that goes on, and which that is.
func (s *Store) KnownClean(c Content) (Epoch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.contents.get(c)
	return s.epoch, ok
}

// KeepClean remembers that nothing was found in a content. It must be that of the bytes that were scanned, whatever became of the file
// meanwhile: else whoever changes a file at the right moment could have anything taken for clean. It is passed over if another epoch has begun.
func (s *Store) KeepClean(epoch Epoch, c Content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == s.epoch && epoch != (Epoch{}) {
		s.contents.put(c, struct{}{})
	}
}

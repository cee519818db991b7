package installer

import (
	"errors"
	"fmt"
	"syscall"
)

// explainFull says plainly what the errors of a disk that takes no more mean.
func explainFull(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the disk is full: %w", err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk quota is used up: %w", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system is mounted read-only: %w", err)
	}
	return err
}

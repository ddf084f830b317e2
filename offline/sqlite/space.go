package sqlite

// Space gives the bytes that are free for this user on the file system that holds dir, and its size.
func Space(dir string) (free, total int64, err error) { return space(dir) }

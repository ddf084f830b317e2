package devicesim

// Pass shows what a printer in front of the display passed on: whole commands.
func (d *Display) Pass(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var held []byte
	for _, c := range b {
		held = d.take(append(held, c))
	}
	d.garbage += len(held)
}

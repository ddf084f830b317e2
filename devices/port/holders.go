package port

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holders are the processes that have the node open, as far as this user may see them (proc(5), Linux): all for root, else only
// one's own. This process counts where it has the node open more than ours times.
func Holders(node string, ours int) []string {
	if real, err := filepath.EvalSymlinks(node); err == nil {
		node = real
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	open := make(map[int]int)
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != node {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			open[pid]++
		}
	}
	var out []string
	for pid, times := range open {
		if pid == os.Getpid() && times <= ours {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			continue // it ended meanwhile
		}
		out = append(out, fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid))
	}
	slices.Sort(out)
	return out
}

// busyHint names who holds the node, and where that cannot be seen how to find out; often says who it mostly is.
func busyHint(node, often string) string {
	if who := Holders(node, 0); len(who) > 0 {
		return node + " is held by " + strings.Join(who, " and ") + ": end that program, or take the device away from it"
	}
	return "another program holds " + node + ": see `sudo fuser -v " + node + "`; often it is " + often
}

package main

import (
	"storeagent/installer/config"
	"storeagent/register/wire"
)

// notDone names what the configuration asks for and this version does not do, so that nobody waits for it.
func notDone(cfg *config.Config) []wire.StatusProblem {
	if len(cfg.Webhooks) == 0 {
		return nil
	}
	return []wire.StatusProblem{{
		Code: "webhooks_not_sent", Severity: "warning", Message: "[[webhook]] is configured, and this version sends no webhooks.",
		Hint: "Read GET /v1/events instead; Last-Event-ID replays what was missed.",
	}}
}

package installer

import (
	"bytes"
	"encoding/json"
	"slices"
)

// shownTexts are the fields of events whose texts may leave the store. Everything else that is a text stays out:
// what was scanned, posted or printed, names of customers, codes.
func shownTexts() []string {
	return []string{
		"id", "type", "state", "reason", "amount", "approvedAmount", "tipAmount", "currency", "terminal", "printer", "scanner", "name",
		"category", "driver", "port", "model", "since", "at", "createdAt", "finishedAt", "acceptedAt", "deliveredAt", "lastAttemptAt",
		"oldestQueuedAt", "nextAttemptAt", "expiresAt", "accessExpiresAt", "saleId", "kind", "symbology", "connection", "message", "hint",
		"mode", "transType", "rule", "feed", "transactionId", "storeCode", "cloudId", "drawer",
	}
}

// codeHolders are the objects in which code is the word of an error, and not what is on a card.
func codeHolders() []string { return []string{"error", "lastError", "problem", "decline"} }

// harmless is a document with its numbers, its truths and those of its texts that may leave the store; what is no JSON
// is null.
func harmless(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil
	}
	return sift("", "", v)
}

// sift keeps what is harmless of a value that stands under key in an object that stands under holder.
func sift(holder, key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, child := range v {
			if s := sift(key, k, child); s != nil {
				out[k] = s
			}
		}
		return out
	case []any:
		out := []any{}
		for _, child := range v {
			if s := sift(holder, key, child); s != nil {
				out = append(out, s)
			}
		}
		return out
	case string:
		if slices.Contains(shownTexts(), key) || key == "text" && holder == "status" || key == "code" && slices.Contains(codeHolders(), holder) {
			return v
		}
		return nil
	}
	return v
}

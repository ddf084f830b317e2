package sqlite

// All SQL that is run, but for the tables (schema) and the conditions that listings put together. Where a partial
// index must be used, its condition is repeated word by word: SQLite compares texts, it does not reason.

const openStates = `state IN ('queued', 'sending', 'in_doubt', 'parked')`

const (
	qMeta        = `SELECT epoch, commits FROM meta`
	qVersion     = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`
	qMetaInsert  = `INSERT INTO meta (id, epoch, commits) VALUES (1, ?, 0)`
	qMetaRenew   = `UPDATE meta SET epoch = ?, commits = ?`
	qMetaCommits = `UPDATE meta SET commits = ?`

	qSequenceAdd   = `INSERT INTO sqlite_sequence (name, seq) SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)`
	qSequenceRaise = `UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?`
	qSequence      = `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?`

	qFindings   = `SELECT code, message, hint, severity FROM findings WHERE noted_at = 0 ORDER BY seq`
	qFindingAdd = `INSERT INTO findings (at, code, message, hint, severity) SELECT ?1, ?2, ?3, ?4, ?5
		WHERE NOT EXISTS (SELECT 1 FROM findings WHERE noted_at = 0 AND code = ?2 AND message = ?3)`
	qFindingsNoted = `UPDATE findings SET noted_at = ? WHERE noted_at = 0`

	qSettingGet = `SELECT value FROM settings WHERE name = ?`
	qSettingSet = `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// Keys, events, audit and pairings.
const (
	qAnswerAdd = `INSERT INTO answers (pairing_id, key, fingerprint, status, location, body, at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (pairing_id, key) DO NOTHING`
	qAnswer = `SELECT status, location, body, fingerprint FROM answers WHERE pairing_id = ? AND key = ?`

	qEventAdd    = `INSERT INTO events (type, at, scanner, owner, data) VALUES (?, ?, ?, ?, ?)`
	qEventsAfter = `SELECT id, type, at, scanner, owner, data FROM events WHERE id > ?1
		AND (?2 = '' OR type IN (SELECT value FROM json_each(?2))) ORDER BY id LIMIT ?3`
	qEventsPrune = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= ?1 AND at < ?2 ORDER BY id LIMIT ?3)`

	qAuditAdd = `INSERT INTO audit (at, actor_id, actor_name, actor_role, action, subject, note, prev_hash, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	qAuditLast = `SELECT hash FROM audit ORDER BY seq DESC LIMIT 1`
	auditCols  = `seq, at, actor_id, actor_name, actor_role, action, subject, note, prev_hash, hash`
	qAuditUp   = `SELECT ` + auditCols + ` FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`
	qAuditDown = `SELECT ` + auditCols + ` FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?`

	qPairingAdd    = `INSERT INTO pairings (id, name, role, origin, token_hash, created_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	qPairings      = `SELECT id, name, role, origin, token_hash, created_at, revoked_at FROM pairings ORDER BY created_at, id`
	qPairingRevoke = `UPDATE pairings SET revoked_at = ?2 WHERE id = ?1 AND revoked_at = 0`
	qPairingName   = `SELECT name FROM pairings WHERE id = ?`
)

// Sales.
const (
	qSaleAdd = `INSERT INTO sales (id, store_code, transaction_id, kind, currency, amount, body, content_hash, warnings, tenders,
		accepted_at, accepted_by, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	qSaleFirst = `SELECT id FROM sales WHERE store_code = ?1 AND transaction_id = ?2 AND kind = ?3
		AND (?3 = 'sale' OR content_hash = ?4)`
	qSaleIDAt = `SELECT id FROM sales WHERE seq = ?`
	saleCols  = `seq, id, store_code, transaction_id, kind, currency, amount, warnings, tenders, accepted_at, state`
	qSale     = `SELECT ` + saleCols + `, body FROM sales WHERE id = ?`
	qSales    = `SELECT ` + saleCols + `, NULL FROM sales`

	// a page is read by seq; the index tells where to stop
	salesSince = `accepted_at >= ? AND seq >= (SELECT min(seq) FROM sales WHERE accepted_at >= ?)`

	qSaleStream = `SELECT o.stream FROM sales s JOIN operations o ON o.sale_id = s.id AND o.sale_id <> ''
		WHERE s.store_code = ? AND s.transaction_id = ? AND s.kind = 'sale' AND o.type = 'purchase' ORDER BY o.seq LIMIT 1`

	// worst is the contract's order: parked, in_doubt, sending, queued, and of what is through, discarded.
	worst = `(SELECT CASE max(CASE state WHEN 'parked' THEN 5 WHEN 'in_doubt' THEN 4 WHEN 'sending' THEN 3 WHEN 'queued' THEN 2
		WHEN 'discarded' THEN 1 ELSE 0 END) WHEN 5 THEN 'parked' WHEN 4 THEN 'in_doubt' WHEN 3 THEN 'sending' WHEN 2 THEN 'queued'
		WHEN 1 THEN 'discarded' ELSE 'delivered' END FROM operations WHERE sale_id = sales.id AND sale_id <> '')`
	qSaleState         = `UPDATE sales SET state = ` + worst + ` WHERE id = ?`
	qSaleStatesInDoubt = `UPDATE sales SET state = ` + worst + `
		WHERE id IN (SELECT sale_id FROM operations WHERE state = 'in_doubt' AND state <> 'delivered')`
)

// Operations.
const (
	qOpAdd = `INSERT INTO operations (id, type, sale_id, stream, payload, content_hash, ref, amount, currency, lane, state,
		not_before, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)`
	qDependencyAdd = `INSERT INTO dependencies (op_id, n, needs_id) VALUES (?, ?, ?)`

	opCols = `o.seq, o.id, o.type, o.sale_id, o.stream, o.payload, o.content_hash, o.ref, o.amount, o.currency, o.lane, o.state,
		o.reason, o.attempts, o.last_attempt_at, o.not_before, o.error_code, o.error_message, o.cloud_id, o.created_at, o.delivered_at,
		(SELECT json_group_array(needs_id) FROM (SELECT needs_id FROM dependencies WHERE op_id = o.id ORDER BY n))`
	qOps     = `SELECT ` + opCols + ` FROM operations o`
	qOp      = qOps + ` WHERE o.id = ?`
	qSaleOps = qOps + ` WHERE o.sale_id <> '' AND o.sale_id IN (SELECT value FROM json_each(?)) ORDER BY o.seq`

	// first of its stream, and nothing it depends on is still on its way
	isHead = ` AND o.lane = '' AND NOT EXISTS (SELECT 1 FROM operations p WHERE p.stream = o.stream AND p.seq < o.seq AND p.` + openStates + `)` + ready
	ready  = ` AND NOT EXISTS (SELECT 1 FROM dependencies d JOIN operations n ON n.id = d.needs_id
		WHERE d.op_id = o.id AND n.state IN ('queued', 'sending'))`
	qHeads = qOps + ` INDEXED BY operations_open WHERE o.state = 'queued' AND o.state <> 'delivered' AND o.not_before <= ?
		AND o.type NOT IN (SELECT value FROM json_each(?))` + isHead + ` ORDER BY o.seq LIMIT ?`
	qNextDue = `SELECT o.not_before FROM operations o INDEXED BY operations_due
		WHERE o.state = 'queued' AND o.not_before > 0 AND o.not_before > ?` + isHead + ` ORDER BY o.not_before LIMIT 1`

	// whether the stream forbids an attempt: something earlier is open, or something is in flight or in doubt
	qStreamTaken = `SELECT EXISTS (SELECT 1 FROM operations p WHERE p.stream = ?1 AND p.` + openStates + `
		AND p.id <> ?2 AND (p.seq < ?3 OR p.state IN ('sending', 'in_doubt')))
		OR EXISTS (SELECT 1 FROM dependencies d JOIN operations n ON n.id = d.needs_id
			WHERE d.op_id = ?2 AND n.state IN ('queued', 'sending'))`
	qOpBegin    = `UPDATE operations SET state = 'sending', attempts = ?2, last_attempt_at = ?3, not_before = 0 WHERE id = ?1`
	qAttemptAdd = `INSERT INTO attempts (op_id, n, boot, started_at) VALUES (?, ?, ?, ?)`
	qAttemptEnd = `UPDATE attempts SET finished_at = ?3, class = ?4, http_status = ?5, code = ?6, message = ?7, cloud_id = ?8
		WHERE op_id = ?1 AND n = ?2`
	qOpEnd = `UPDATE operations SET state = ?2, reason = ?3, not_before = ?4, error_code = ?5, error_message = ?6, cloud_id = ?7,
		delivered_at = ?8 WHERE id = ?1`
	qOpsSending = qOps + ` WHERE o.state = 'sending' AND o.state <> 'delivered' ORDER BY o.seq`
	qOpsBlocked = qOps + ` WHERE o.state = 'parked' AND o.state <> 'delivered' AND o.reason = 'blocked' AND o.type = ? ORDER BY o.seq`

	// parked too: since then a person or the cloud may have let it go
	qDoubtUntrusted = `UPDATE operations SET state = 'in_doubt', reason = '', not_before = 0, error_code = ?1, error_message = ?2
		WHERE (state IN ('queued', 'sending') OR state = 'parked' AND reason <> 'moved') AND state <> 'delivered'`

	qCountAll  = `SELECT count(*) FROM operations`
	qCountOpen = `SELECT state, reason, currency, amount FROM operations WHERE state <> 'delivered'`
	oldestOf   = ` FROM operations WHERE state <> 'delivered' AND state = `
	qOldest    = `SELECT
		coalesce((SELECT created_at` + oldestOf + `'queued' ORDER BY seq LIMIT 1), 0),
		coalesce((SELECT created_at` + oldestOf + `'sending' ORDER BY seq LIMIT 1), 0),
		coalesce((SELECT created_at` + oldestOf + `'in_doubt' ORDER BY seq LIMIT 1), 0),
		coalesce((SELECT created_at FROM operations WHERE state = 'parked' AND reason <> 'moved' ORDER BY seq LIMIT 1), 0)`
)

// Upkeep and moves.
const (
	qPruneSales = `UPDATE sales SET body = x'', pruned_at = ?1 WHERE seq IN (SELECT seq FROM sales
		WHERE pruned_at = 0 AND state IN ('delivered', 'discarded') AND accepted_at < ?2 ORDER BY accepted_at LIMIT ?3)`
	qPruneOps = `UPDATE operations SET payload = x'', pruned_at = ?1 WHERE seq IN (SELECT seq FROM operations
		WHERE pruned_at = 0 AND state IN ('delivered', 'discarded') AND created_at < ?2 ORDER BY created_at LIMIT ?3)`

	undelivered = `o.state <> 'delivered' AND (o.state IN ('queued', 'sending', 'in_doubt') OR o.state = 'parked' AND o.reason <> 'moved')`
	qOpsOpen    = qOps + ` WHERE ` + undelivered + ` AND o.seq > ? ORDER BY o.seq LIMIT ?`
	qOpenLast   = `SELECT coalesce(max(o.seq), 0) FROM operations o WHERE ` + undelivered
	qOpMoved    = `UPDATE operations SET state = 'parked', reason = 'moved', not_before = 0 WHERE id = ?`
	qMoveAdd    = `INSERT INTO moves (id, direction, at, operations) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (id, direction) DO UPDATE SET operations = operations + excluded.operations`
	qMoveThere = `SELECT count(*) FROM moves WHERE id = ? AND direction = ?`
	qOpThere   = `SELECT count(*) FROM operations WHERE id = ?`
	qOpState   = `UPDATE operations SET state = ?2, reason = ?3, attempts = ?4, last_attempt_at = ?5, error_code = ?6, error_message = ?7,
		cloud_id = ?8, delivered_at = ?9 WHERE id = ?1`
	qCardThere = `SELECT count(*) FROM giftcards WHERE id = ?`
	qCardByOp  = qCards + ` WHERE id = ?1 OR (capture_op = ?1 AND capture_op <> '')`
	qCardMoved = `UPDATE giftcards SET before = ?2, balance = ?3, giftcard_id = ?4, expires_at = ?5, canceled_at = ?6, expired = ?7,
		sale_id = ?8, capture_op = ?9, captured_amount = ?10 WHERE id = ?1`
	qSaleThere = `SELECT count(*) FROM sales WHERE id = ?`
	qSaleMoved = `SELECT store_code, transaction_id, kind, currency, amount, body, content_hash, warnings, tenders, accepted_at, accepted_by
		FROM sales WHERE id = ?`
)

// Payments and print jobs.
const (
	paymentOpen  = `state IN ('created', 'processing', 'in_doubt', 'unresolved')`
	qPaymentBusy = `SELECT state FROM payments WHERE terminal = ?1 AND ` + paymentOpen + `
		UNION ALL SELECT state FROM payment_operations WHERE terminal = ?1 AND ` + paymentOpen
	qPaymentAdd = `INSERT INTO payments (id, terminal, state, told, created_at, body, memo) VALUES (?, ?, ?, ?, ?, ?, ?)`
	qPaymentSet = `UPDATE payments SET state = ?2, told = ?3, body = ?4, memo = ?5, contradicted = ?6 WHERE id = ?1`
	qPaymentSeq = `SELECT seq FROM payments WHERE id = ?`
	qPayments   = `SELECT seq, state, sale_id, body, memo, (SELECT json_group_array(json_array(state, json(body), json(memo)))
		FROM (SELECT state, body, memo FROM payment_operations WHERE payment_id = payments.id ORDER BY seq)) FROM payments`
	qPayment     = qPayments + ` WHERE id = ?`
	qPaymentLast = `SELECT created_at, memo FROM payments WHERE terminal = ? AND told = 1 ORDER BY seq DESC LIMIT 1`
	qPaymentOpen = qPayments + ` WHERE id IN (SELECT id FROM payments WHERE ` + paymentOpen + `
		UNION ALL SELECT payment_id FROM payment_operations WHERE ` + paymentOpen + `) ORDER BY seq`
	qPaymentsOf = qPayments + ` WHERE terminal = ? AND created_at >= ? ORDER BY created_at`

	qPaymentOpAdd = `INSERT INTO payment_operations (id, payment_id, terminal, type, state, amount, told, created_at, body, memo)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	qPaymentOpSet        = `UPDATE payment_operations SET state = ?2, told = ?3, body = ?4, memo = ?5 WHERE id = ?1`
	qPaymentOpLast       = `SELECT created_at, memo FROM payment_operations WHERE terminal = ? AND told = 1 ORDER BY seq DESC LIMIT 1`
	qPaymentOpsUntrusted = `UPDATE payment_operations SET state = 'in_doubt' WHERE state IN ('created', 'processing')`

	qClosingAdd  = `INSERT INTO closings (id, terminal, at, body) VALUES (?, ?, ?, ?)`
	qClosingLast = `SELECT body FROM closings WHERE terminal = ? ORDER BY seq DESC LIMIT 1`

	paymentsSince = `created_at >= ? AND seq >= (SELECT min(seq) FROM payments WHERE created_at >= ?)`
	qPaymentThere = `SELECT id FROM payments WHERE id = ?1 UNION ALL SELECT id FROM payment_operations WHERE id = ?1`
	qPaymentClaim = `UPDATE payments SET sale_id = ?2 WHERE id = ?1 AND state = 'approved' AND sale_id = ''
		AND NOT EXISTS (SELECT 1 FROM payment_operations WHERE payment_id = ?1 AND type = 'void' AND ` + paymentOpen + `)`
	qPaymentClaimable  = `SELECT state, sale_id FROM payments WHERE id = ?`
	qPaymentsUntrusted = `UPDATE payments SET state = 'in_doubt' WHERE state IN ('created', 'processing')`

	qJobAdd = `INSERT INTO print_jobs (id, printer, state, reason, sale_id, reprint_of, copies, created_at, finished_at, error,
		document, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	qJobSet   = `UPDATE print_jobs SET state = ?2, reason = ?3, error = ?4, finished_at = ?5 WHERE id = ?1`
	qJobs     = `SELECT seq, id, printer, state, reason, sale_id, reprint_of, copies, created_at, finished_at, error, document, raw FROM print_jobs`
	qJob      = qJobs + ` WHERE id = ?`
	qJobsOpen = qJobs + ` WHERE printer = ? AND state IN ('queued', 'sending', 'blocked') ORDER BY seq`
)

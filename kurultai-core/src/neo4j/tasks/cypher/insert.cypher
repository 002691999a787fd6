// What tasks have in common is sent once and worked out once, as their kind. A kind's rows are [place in the batch, id,
// payload, title, description, unique_key, parent_id, correlation_id]. Ends with as many rows as tasks.
WITH ns, now, at, ns.event_seq AS base
SET ns.event_seq = base + $count
WITH ns, now, at, base
UNWIND $kinds AS k
WITH ns, now, at, base, k, coalesce(k.run_at, now + k.delay) AS start
WITH ns, now, at, base, k, start, CASE WHEN start > now THEN start END AS later
WITH ns, now, at, base, k, start, later,
  CASE WHEN k.expires_at IS NOT NULL THEN k.expires_at
    WHEN NOT k.blocked THEN coalesce(later, now) + k.timeout END AS expires
WITH ns, at, base, k, k.sort + now AS sort, NOT k.blocked AND later IS NULL AS ready,
  CASE WHEN k.blocked THEN 'blocked' ELSE 'pending' END AS status,
  CASE WHEN NOT k.blocked AND (later < expires OR expires IS NULL) THEN later ELSE expires END AS due,
  CASE WHEN start IS NOT NULL THEN
    datetime({epochSeconds: start / 1000000, nanosecond: start % 1000000 * 1000}) END AS start,
  CASE WHEN expires IS NOT NULL THEN
    datetime({epochSeconds: expires / 1000000, nanosecond: expires % 1000000 * 1000}) END AS expires
UNWIND k.rows AS r
// A task's place in the order is its claim_key while it can be claimed, else its sort_key.
CREATE (:Task {namespace: $ns, id: r[1], type: k.type, status: status, route: k.route, payload: r[2],
  priority: k.priority, priority_weight: k.priority_weight,
  claim_key: CASE WHEN ready THEN sort + r[0] END, due_at: due, expires_at: expires, timeout: k.timeout,
  required_capabilities: k.required_capabilities, max_attempts: k.max_attempts, attempts: 0, lease_version: 0,
  created_at: at, sort_key: CASE WHEN NOT ready THEN sort + r[0] END, title: r[3], description: r[4],
  unique_key: r[5], parent_id: r[6], correlation_id: r[7], run_at: start,
  preferred_capabilities: k.preferred_capabilities,
  assigned_to: k.assigned_to, delegated_by: k.delegated_by, on_prerequisite_failure: k.on_prerequisite_failure,
  wait_for: k.wait_for, retry: k.retry, max_runtime: k.max_runtime})
CREATE (:Event {namespace: $ns, seq: base + r[0] + 1, topic: 'task.enqueued', source: k.delegated_by,
  task_id: r[1], task_type: k.type, correlation_id: r[7], created_at: at})

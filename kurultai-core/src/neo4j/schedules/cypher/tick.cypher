// All of them or none. A tick is [name, revision and whether its last task is unfinished, as they must be, next due, due_at,
// last due, last skipped, last task].
CALL () { UNWIND $ticks AS r
  MATCH (s:Schedule {namespace: $ns, name: r[0]}) USING INDEX SEEK s:Schedule(namespace, name)
  WHERE s.revision = r[1]
  OPTIONAL MATCH (t:Task {namespace: $ns, id: s.last_task})
  WITH r, s, coalesce(NOT t.status IN ['completed', 'dead_letter', 'cancelled', 'expired'], false) AS busy
  WHERE busy = r[2]
  RETURN collect([s, r]) AS held }
WITH ns, now, at, held WHERE size(held) = size($ticks)
CALL (held) { UNWIND held AS h WITH h[0] AS s, h[1] AS r
  SET s += {next_due: r[3], due_at: r[4], last_due: coalesce(r[5], s.last_due),
    last_skipped: coalesce(r[6], s.last_skipped), last_task: coalesce(r[7], s.last_task), revision: s.revision + 1}
  RETURN count(*) AS moved }

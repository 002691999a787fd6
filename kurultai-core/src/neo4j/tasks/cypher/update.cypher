CALL (at) { MATCH (t:Task {namespace: $ns, id: $id}) USING INDEX SEEK t:Task(namespace, id)
  WHERE coalesce(t.revision, 0) = $revision
  // The best rank among those that wait for it, below which it must not fall.
  CALL (t) { OPTIONAL MATCH (t)<-[e:DEPENDS_ON]-(d:Task) WHERE e.type = 'blocks'
      AND NOT d.status IN ['completed', 'dead_letter', 'cancelled', 'expired']
    RETURN min(coalesce(d.claim_key, d.sort_key) / 1152921504606846976) AS urgent }
  WITH t, at, coalesce(t.claim_key, t.sort_key) AS key, CASE WHEN urgent < $rank THEN urgent ELSE $rank END AS rank,
    coalesce($claimable, t.claim_key IS NOT NULL) AS claimable
  WITH t, at, claimable, CASE WHEN rank IS NULL THEN key ELSE
    rank * 1152921504606846976 + $lightness * 1125899906842624 + key % 1125899906842624 END AS key
  SET t += $fields, t.claim_key = CASE WHEN claimable THEN key END, t.sort_key = CASE WHEN NOT claimable THEN key END,
    t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN collect(t) AS changed }
CALL (changed) { UNWIND CASE WHEN $rank IS NULL THEN [] ELSE changed END AS d
  MATCH (d)-[:DEPENDS_ON*1.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, coalesce(d.claim_key, d.sort_key) / 1152921504606846976 AS rank

// Tasks without a namespace, those of this one that lack what each of ours has, and those that were taken over before
// and whose lists may name the others.
MATCH (t:Task)
WHERE t.namespace IS NULL OR t.namespace = $ns AND (coalesce(t.sort_key, t.claim_key) IS NULL
  OR t.task_id IS NOT NULL OR any(k IN $waits_for + $holds_up WHERE t[k] IS NOT NULL))
RETURN [now, elementId(t), t.namespace IS NOT NULL AND coalesce(t.sort_key, t.claim_key) IS NOT NULL, labels(t),
  t.id, t.task_id, t.status, coalesce(t.type, t.task_type), t.parent_id,
  [k IN $waits_for | t[k]], [k IN $holds_up | t[k]],
  // An edge is [edge, the node at its other end, that one's namespace, id and status, what the edge says].
  [(t)-[e:DEPENDS_ON]->(p:Task) | [elementId(e), elementId(p), p.namespace, p.id, p.status, e.type]]
    + [(t)-[e:SPAWNED]->(p:Task) | [elementId(e), elementId(p), p.namespace, p.id, p.status, 'child']],
  [(t)<-[e:DEPENDS_ON]-(p:Task) WHERE p.namespace IS NOT NULL |
      [elementId(e), elementId(p), p.namespace, p.id, p.status, e.type]]
    + [(t)<-[e:SPAWNED]-(p:Task) WHERE p.namespace IS NOT NULL |
      [elementId(e), elementId(p), p.namespace, p.id, p.status, 'child']]] AS row

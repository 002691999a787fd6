CALL () { UNWIND $blocked AS id MATCH (t:Task {namespace: $ns, id: id})
  WHERE EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND p.status IN ['dead_letter', 'cancelled', 'expired'] }
    OR NOT EXISTS { (t)-[:SPAWNED]->(:Task) } AND NOT EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND NOT p.status IN ['completed', 'dead_letter', 'cancelled', 'expired'] }
  SET t.due_at = 0 RETURN count(*) AS loose }
RETURN collect(loose) AS loose }
RETURN [ways, loose] AS row

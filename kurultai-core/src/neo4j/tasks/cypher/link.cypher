// Inserts nothing where a parent is finished or gone, where a prerequisite is gone, or where there is a way between
// guarded tasks that the writer did not know when it looked for circles. Guards and ways are [from, to]. Of edges only
// blocks counts; those to children have no type. Goes on in insert.cypher and link_edges.cypher.
CALL () { UNWIND $guards AS g
  MATCH (a:Task {namespace: $ns, id: g[0]}), (b:Task {namespace: $ns, id: g[1]}) WHERE a <> b
  MATCH way = shortestPath((a)-[:DEPENDS_ON|SPAWNED*..10000]->(b))
  WHERE all(r IN relationships(way) WHERE coalesce(r.type, 'blocks') = 'blocks')
  RETURN collect([x IN nodes(way) | x.id]) AS ways }
CALL () { UNWIND $hosts AS id OPTIONAL MATCH (p:Task {namespace: $ns, id: id})
    WHERE NOT p.status IN ['completed', 'dead_letter', 'cancelled', 'expired']
  RETURN count(CASE WHEN p IS NULL THEN 1 END) AS gone }
CALL () { UNWIND $prerequisites AS id OPTIONAL MATCH (p:Task {namespace: $ns, id: id})
  RETURN count(CASE WHEN p IS NULL THEN 1 END) AS lost }
CALL (ns, now, at, ways, gone, lost) {
WITH ns, now, at, ways, gone, lost
WHERE all(way IN ways WHERE [way[0], way[-1]] IN $ways) AND gone + lost = 0
CALL () { UNWIND $without_key AS id MATCH (t:Task {namespace: $ns, id: id})
  WHERE t.status IN ['dead_letter', 'cancelled', 'expired']
  SET t.unique_key = null, t.unique_key_given_up = true, t.revision = coalesce(t.revision, 0) + 1
  RETURN count(*) AS freed }
CALL (ns, now, at) {

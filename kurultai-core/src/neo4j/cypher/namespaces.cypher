CYPHER 5
MATCH (ns:Namespace) WHERE ns.namespace IS NOT NULL
CALL (ns) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = ns.namespace AND t.id > ''
  RETURN count(*) AS tasks }
CALL (ns) { MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = ns.namespace AND a.id >= ''
  RETURN count(*) AS agents }
RETURN [ns.namespace, tasks, agents] AS row ORDER BY ns.namespace

CREATE CONSTRAINT kurultai_role_lease IF NOT EXISTS FOR (r:RoleLease) REQUIRE (r.namespace, r.role) IS UNIQUE;
CREATE CONSTRAINT kurultai_failover IF NOT EXISTS FOR (f:FailoverEvent) REQUIRE (f.namespace, f.id) IS UNIQUE;

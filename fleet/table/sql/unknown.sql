-- What no question can count on: nodes without a report, and those of whose report something was lost.
SELECT node, item, cluster, status, cause, reason, losses
FROM nodes WHERE NOT whole ORDER BY status, cluster, item;

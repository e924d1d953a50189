-- Which nodes ran this program?
--   SET VARIABLE program = '/memfd:%';
-- A node that is not whole and not in the answer may have run it all the same: unknown.sql has those.
SELECT node, cluster, captured_at, whole, pod, pid, comm, exe, args, missing_from
FROM processes WHERE exe LIKE getvariable('program') OR comm LIKE getvariable('program')
ORDER BY cluster, node, item, pid;

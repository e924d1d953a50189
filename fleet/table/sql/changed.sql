-- What came and went between two days: programs, modules and BPF programs, by node.
--   SET VARIABLE day1 = '2026-11-20'; SET VARIABLE day2 = '2026-11-21';
-- A node that was captured on one of the days only is not compared; where whole is false, what went may have been lost.
WITH things AS (
    SELECT node, cluster, captured_at::DATE AS day, whole, 'program' AS kind, coalesce(exe, comm) AS name FROM processes WHERE NOT kernel_thread
    UNION ALL SELECT node, cluster, captured_at::DATE, whole, 'module', name FROM modules
    UNION ALL SELECT node, cluster, captured_at::DATE, whole, 'bpf', type || ' ' || coalesce(full_name, name, tag) FROM bpf_programs
), days AS (
    SELECT node, cluster, bool_and(whole) AS whole FROM nodes WHERE captured_at::DATE IN (getvariable('day1')::DATE, getvariable('day2')::DATE)
    GROUP BY node, cluster HAVING count(DISTINCT captured_at::DATE) = 2
)
SELECT d.node, d.cluster, d.whole, t.kind, t.name, CASE WHEN min(t.day) = getvariable('day2')::DATE THEN 'came' ELSE 'went' END AS what
FROM days d JOIN things t ON t.node = d.node AND t.cluster = d.cluster AND t.day IN (getvariable('day1')::DATE, getvariable('day2')::DATE)
GROUP BY d.node, d.cluster, d.whole, t.kind, t.name HAVING count(DISTINCT t.day) = 1
ORDER BY d.cluster, d.node, t.kind, t.name;

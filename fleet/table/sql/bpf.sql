-- Which nodes loaded this BPF program, by its tag (the digest of its instructions) or name?
--   SET VARIABLE program = 'd2c8b0a1%';
SELECT node, cluster, captured_at, whole, id, type, coalesce(full_name, name) AS name, tag, attached_to, pids, pod, hidden
FROM bpf_programs WHERE tag LIKE getvariable('program') OR name LIKE getvariable('program') OR full_name LIKE getvariable('program')
ORDER BY cluster, node, id;

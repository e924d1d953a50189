-- What runs on few nodes? Programs, modules and BPF programs that at most so many nodes have.
--   SET VARIABLE nodes = 2;
WITH things AS (
    SELECT 'program' AS kind, coalesce(exe, comm) AS name, item FROM processes WHERE NOT kernel_thread
    UNION ALL SELECT 'module', name, item FROM modules
    UNION ALL SELECT 'bpf', type || ' ' || coalesce(full_name, name, tag), item FROM bpf_programs
)
SELECT kind, name, count(DISTINCT item) AS nodes, min(item) AS one FROM things
GROUP BY kind, name HAVING count(DISTINCT item) <= getvariable('nodes') ORDER BY nodes, kind, name;

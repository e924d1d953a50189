-- Which nodes talked to this address, or listened on it?
--   SET VARIABLE address = '203.0.113.7';
-- An IPv4 address of an IPv6 socket is written ::ffff:203.0.113.7.
SELECT s.node, s.cluster, s.captured_at, s.whole, s.pod, s.protocol, s.state, s.local_address, s.local_port, s.remote_address, s.remote_port, s.pids,
       list(DISTINCT p.comm ORDER BY p.comm) FILTER (p.comm IS NOT NULL) AS comms
FROM sockets s LEFT JOIN processes p ON p.item = s.item AND p.image_digest IS NOT DISTINCT FROM s.image_digest AND list_contains(s.pids, p.pid)
WHERE s.remote_address IN (getvariable('address'), '::ffff:' || getvariable('address')) OR s.local_address IN (getvariable('address'), '::ffff:' || getvariable('address'))
GROUP BY ALL ORDER BY s.cluster, s.node, s.local_port, s.remote_port;

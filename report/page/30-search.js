// Search: words that must all be there, in what a row says of itself.

let terms = [];
const hays = new Map(); // of each kind, the text of each row
const results = new Map(); // of each kind, the numbers of the rows that were found; for the present terms

const fieldNames = ["pod", "pid", "user", "file", "env", "ip", "rule"];

// parse takes a query apart. A word in double quotes may have spaces.
function parse(query) {
	const found = [];
	for (const m of query.toLowerCase().matchAll(/(-?)(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/g)) {
		let word = m[3] ?? m[4], field = m[2];
		if (field && !fieldNames.includes(field)) {
			word = `${field}:${word}`;
			field = undefined;
		}
		if (word) found.push({not: m[1] === "-", field, word});
	}
	for (const t of found) {
		t.hits = data.strings.map((s) => lower(s).includes(t.word));
	}
	return found;
}

const lowered = new Map();

function lower(s) {
	let l = lowered.get(s);
	if (l === undefined) lowered.set(s, (l = s.toLowerCase()));
	return l;
}

function setQuery(query) {
	terms = parse(query);
	results.clear();
}

// kinds are what there is to search in: its rows, what each says, and which pod and processes it is of.
const kinds = {
	finding: {
		rows: () => data.findings,
		text: (f) => [f.rule, f.title, f.why, f.meaning, severities[f.severity], f.confidence, podName(f.pod), containerName(f.container),
			f.pid ? processName(f.pid) : "", ...(f.attack || []), ...(f.evidence || []).flatMap((e) => [e.object, e.address, e.field, e.value])],
		pod: (f) => f.pod, pids: (f) => (f.pid ? [f.pid] : []),
	},
	pod: {
		rows: () => data.pods,
		text: (p, i) => [podName(i), p.uid, ...(p.ips || []), ...p.facts.map((f) => f.v)],
		pod: (p, i) => i, pids: () => [],
	},
	container: {
		rows: () => data.containers,
		text: (c, i) => [c.id, c.name, c.image, podName(c.pod), ...(c.tags || []), ...c.facts.map((f) => f.v)],
		pod: (c) => c.pod, pids: () => [],
	},
	process: {
		rows: () => data.processes,
		text: (p) => [p.pid, p.comm, p.args, p.exe, p.cwd, podName(p.pod), containerName(p.container), p.address, p.hidden,
			p.container >= 0 ? data.containers[p.container].id : ""],
		more: (p, hits) => (p.env || []).some((n) => hits[n]) || (p.paths || []).some((n) => hits[n]) || hits[p.cgroup] || hits[p.security],
		pod: (p) => p.pod, pids: (p) => [p.pid],
	},
	socket: {
		rows: () => data.sockets,
		text: (s) => [s.protocol, s.state, s.local, s.remote, podName(s.pod), podName(s.peer), s.note, s.address, ...(s.pids || []).map(processName)],
		pod: (s) => s.pod, pids: (s) => s.pids || [],
	},
	flow: {
		rows: () => data.flows,
		text: (f) => [f.protocol, f.state, f.from, f.to, f.real, podName(f.pod), podName(f.peer)],
		pod: (f) => f.pod, pids: () => [],
	},
	file: {
		rows: () => data.files,
		text: (f) => [f.path, f.fs, f.mode, f.how, podName(f.pod), f.address, ...(f.pids || []).map(processName)],
		pod: (f) => f.pod, pids: (f) => f.pids || [],
	},
	open: {
		rows: () => openFiles(),
		text: () => [],
		more: (f, hits) => hits[f.path],
		pod: (f) => data.processes[f.process].pod, pids: (f) => [data.processes[f.process].pid],
	},
	kernel: {
		rows: () => data.kernel,
		text: (k) => [k.kind, k.name, k.text, podName(k.pod), k.address],
		pod: (k) => k.pod, pids: () => [],
	},
	event: {
		rows: () => data.events,
		text: (e) => [when(e.t), e.k, e.x, e.pid ? processName(e.pid) : "", podName(e.pod)],
		pod: (e) => e.pod, pids: (e) => (e.pid ? [e.pid] : []),
	},
	gap: {
		rows: () => data.gaps,
		text: (g) => [g.object, g.place, g.reason, g.why],
		pod: () => -1, pids: (g) => (g.pid ? [g.pid] : []),
	},
};

let openList;

// openFiles are the files that processes have open, but for sockets, pipes and the like, which are no files.
function openFiles() {
	if (openList) return openList;
	openList = [];
	const file = data.strings.map((s) => s.startsWith("/"));
	data.processes.forEach((p, process) => {
		(p.paths || []).forEach((path, i) => {
			if (file[path]) openList.push({process, fd: p.fds[i], path});
		});
	});
	return openList;
}

function hay(kind, i) {
	let list = hays.get(kind);
	if (!list) hays.set(kind, (list = []));
	return (list[i] ??= kinds[kind].text(kinds[kind].rows()[i], i).filter(Boolean).join("\n").toLowerCase());
}

// within says whether a term is in the field that it names, of a row or of what the row is of.
const within = {
	pod: (t, kind, row, i) => {
		const pod = kinds[kind].pod(row, i);
		return pod >= 0 && (podName(pod).toLowerCase().includes(t.word) || data.pods[pod].uid.includes(t.word));
	},
	pid: (t, kind, row) => kinds[kind].pids(row).some((pid) => String(pid) === t.word),
	user: (t, kind, row) => processesOf(kind, row).some((p) => String(p.uid) === t.word || String(p.euid) === t.word),
	file: (t, kind, row) => (kind === "file" ? lower(row.path || "").includes(t.word) : kind === "open" ? t.hits[row.path]
		: processesOf(kind, row).some((p) => (p.paths || []).some((n) => t.hits[n]) || lower(p.exe || "").includes(t.word))),
	env: (t, kind, row) => processesOf(kind, row).some((p) => (p.env || []).some((n) => t.hits[n])),
	ip: (t, kind, row, i) => (kind === "socket" ? `${row.local} ${row.remote}`.includes(t.word) : kind === "flow" ? `${row.from} ${row.to} ${row.real}`.includes(t.word)
		: kind === "pod" ? (row.ips || []).some((a) => a.includes(t.word))
		: kinds[kind].pids(row, i).some((pid) => (socketsOfPID.get(pid) || []).some((s) => `${data.sockets[s].local} ${data.sockets[s].remote}`.includes(t.word)))),
	rule: (t, kind, row, i) => {
		const pod = kinds[kind].pod(row, i);
		const list = kind === "finding" ? [i] : kind === "pod" ? findingsOfPod[pod] : kinds[kind].pids(row).flatMap((pid) => findingsOfPID.get(pid) || []);
		return list.some((n) => data.findings[n].rule.includes(t.word));
	},
};

const processesOf = (kind, row) => kinds[kind].pids(row).map((pid) => data.processes[byPID.get(pid)]).filter(Boolean);

function matches(kind, i) {
	const row = kinds[kind].rows()[i];
	return terms.every((t) => {
		const found = t.field ? within[t.field](t, kind, row, i)
			: hay(kind, i).includes(t.word) || Boolean(kinds[kind].more?.(row, t.hits));
		return found !== t.not;
	});
}

// found returns the numbers of all rows of a kind that are searched for.
function found(kind) {
	let list = results.get(kind);
	if (list) return list;
	const n = kinds[kind].rows().length;
	list = [];
	for (let i = 0; i < n; i++) {
		if (terms.length === 0 || matches(kind, i)) list.push(i);
	}
	results.set(kind, list);
	return list;
}

// Pods as a tree: a pod, its containers, their processes below their parents; the node last.

const opened = new Map(); // what was opened or closed by hand, by key

function severityMark(severity, n) {
	return el("span", {class: `sev sev${severity}`}, el("span", {class: `meter m${severity}`, "aria-hidden": "true"}),
		el("span", {text: n > 1 ? `${severities[severity]} ×${n}` : severities[severity]}));
}

// findingMark shows the worst of some findings, and how many there are.
function findingMark(list) {
	const w = worst(list);
	return w < 0 ? null : severityMark(w, list.filter((i) => !data.findings[i].accepted).length);
}

const findingText = (list) => (worst(list) < 0 ? "" : `${severities[worst(list)]} ×${list.length}`);

// podOrder is the order in which pods are looked at: the worst first.
function podOrder(a, b) {
	const weight = (i) => {
		let w = 0;
		for (const n of findingsOfPod[i]) {
			const f = data.findings[n];
			if (!f.accepted) w += 10 ** (3 * f.severity);
		}
		return w;
	};
	return weight(b) - weight(a) || podName(a).localeCompare(podName(b), "en", {numeric: true}) || a - b;
}

// treeRows makes the rows of the tree that are open. With a search, those that are found and what leads to them.
function treeRows() {
	const rows = [], searching = terms.length > 0;
	const foundProcesses = searching ? new Set(found("process")) : null, foundPods = searching ? new Set(found("pod")) : null;
	const foundContainers = searching ? new Set(found("container")) : null;
	const small = data.processes.length - loose.length <= 150;
	const pods = data.pods.map((_, i) => i).sort(podOrder);
	const isOpen = (key, normal) => opened.get(key) ?? (searching || normal);

	const tops = [];
	for (const i of pods) {
		const containers = data.pods[i].containers;
		const shown = !searching || foundPods.has(i) || containers.some((c) => foundContainers.has(c) || processesOfContainer[c].some((p) => foundProcesses.has(p)));
		if (shown) tops.push({type: "pod", i, all: !searching || foundPods.has(i)});
	}
	const user = loose.filter((p) => !data.processes[p].kernel), kernel = loose.filter((p) => data.processes[p].kernel);
	for (const [i, name, list] of [[0, "Node: processes in no pod", user], [1, "Kernel threads", kernel]]) {
		const some = searching ? list.filter((p) => foundProcesses.has(p)) : list;
		if (some.length) tops.push({type: "group", i, name, list: some});
	}

	const processes = (list, level, key) => {
		const inside = new Set(list);
		const roots = list.filter((p) => !inside.has(byPID.get(data.processes[p].ppid)) || data.processes[p].ppid === data.processes[p].pid);
		const seen = new Set();
		const put = (siblings, level) => {
			siblings.forEach((p, n) => {
				if (seen.has(p)) return;
				seen.add(p);
				const kids = children[p].filter((c) => inside.has(c) && !seen.has(c));
				const row = {type: "process", i: p, level, position: n + 1, of: siblings.length, key: `process ${p}`, branch: kids.length > 0};
				row.open = row.branch && isOpen(row.key, true);
				rows.push(row);
				if (row.open) put(kids, level + 1);
			});
		};
		put(roots.length ? roots : list, level);
	};

	tops.forEach((top, n) => {
		const row = {type: top.type, i: top.i, name: top.name, level: 1, position: n + 1, of: tops.length, key: `${top.type} ${top.i}`, list: top.list, branch: true};
		const bad = top.type === "pod" && worst(findingsOfPod[top.i]) >= 3;
		row.open = isOpen(row.key, top.type === "pod" && (small || (bad && n < 5)));
		rows.push(row);
		if (!row.open) return;
		if (top.type === "group") {
			processes(top.list, 2, row.key);
			return;
		}
		const containers = data.pods[top.i].containers.filter((c) => top.all || foundContainers.has(c) || processesOfContainer[c].some((p) => foundProcesses.has(p)));
		containers.forEach((c, m) => {
			const list = top.all || foundContainers.has(c) ? processesOfContainer[c] : processesOfContainer[c].filter((p) => foundProcesses.has(p));
			const inner = {type: "container", i: c, level: 2, position: m + 1, of: containers.length, key: `container ${c}`, branch: list.length > 0};
			inner.open = inner.branch && isOpen(inner.key, !data.containers[c].sandbox);
			rows.push(inner);
			if (inner.open) processes(list, 3, inner.key);
		});
	});
	return rows;
}

// nameOf is what the first column says of a row of the tree.
function nameOf(row) {
	switch (row.type) {
	case "pod": return podName(row.i);
	case "container": return data.containers[row.i].sandbox ? data.containers[row.i].id.slice(0, 13) : containerName(row.i);
	case "group": return `${row.name} (${row.list.length})`;
	}
	return command(data.processes[row.i]);
}

function fillName(cell, row) {
	cell.style.paddingInlineStart = `${(row.level - 1) * 18 + 6}px`;
	cell.append(el("span", {class: row.branch ? "twisty" : "twisty none", "aria-hidden": "true", text: row.branch ? (row.open ? "▾" : "▸") : ""}),
		el("span", {class: `kind ${row.type}`, text: {pod: "pod", container: data.containers[row.i]?.sandbox ? "sandbox" : "container", group: "node", process: ""}[row.type]}),
		el("bdi", {class: row.type === "process" ? "code" : row.type === "container" && data.containers[row.i].sandbox ? "code soft" : "strong", text: nameOf(row)}));
}

const findingsOfRow = (row) => ({pod: () => findingsOfPod[row.i], container: () => findingsOfContainer[row.i], group: () => (row.i === 0 ? findingsOfNode : []),
	process: () => findingsOfPID.get(data.processes[row.i].pid) || []})[row.type]();

const startOfRow = (row) => (row.type === "pod" ? data.pods[row.i].start : row.type === "process" ? data.processes[row.i].start : 0) || 0;

function networkOfRow(row) {
	if (row.type === "pod") return (data.pods[row.i].ips || []).join(", ") || (data.pods[row.i].host ? "the node's network" : "");
	if (row.type !== "process") return "";
	const list = (socketsOfPID.get(data.processes[row.i].pid) || []).map((i) => data.sockets[i]).filter((s) => s.local && !s.protocol.startsWith("unix"));
	const listens = list.filter((s) => s.state === "LISTEN" || (s.state === "UNCONN" && !s.remote)).map((s) => s.local);
	const rest = list.length - listens.length;
	return [listens.length ? `listens on ${listens.slice(0, 3).join(", ")}` : "", rest ? count(rest, "connection") : ""].filter(Boolean).join("; ");
}

function remarksOfRow(row) {
	if (row.type === "container") return [data.containers[row.i].image, ...(data.containers[row.i].tags || [])].filter(Boolean).join(", ");
	if (row.type === "group") return "";
	if (row.type === "pod") return lossText(data.pods[row.i].gaps);
	const p = data.processes[row.i];
	const base = (s) => (s || "").split(" ")[0].split("/").pop().replace(/^-/, "");
	return [!p.kernel && p.comm !== base(p.exe) && p.comm !== base(p.args) && !base(p.exe).startsWith(p.comm) ? `named ${p.comm}` : "", p.exe && deleted(p.exe) ? `runs ${p.exe}` : "", p.hidden ? "not in all views" : "", lossText(p.gaps)].filter(Boolean).join(", ");
}

const lossText = (gaps) => (gaps?.length ? count(gaps.length, "loss", "losses") : "");

let tree;

function makeTree() {
	tree = new Grid({
		label: "Pods, containers and processes", tree: true, empty: "No pod or process has all of these words.",
		columns: [
			{title: "Name", width: "minmax(240px, 3fr)", text: nameOf, fill: fillName},
			{title: "Findings", width: "minmax(104px, 130px)", text: (r) => findingText(findingsOfRow(r)), fill: (c, r) => c.append(findingMark(findingsOfRow(r)) || "")},
			{title: "PID", width: "76px", number: true, from: 420, text: (r) => (r.type === "process" ? String(data.processes[r.i].pid) : "")},
			{title: "User", width: "70px", from: 900, text: (r) => (r.type === "process" ? user(data.processes[r.i]) : "")},
			{title: "Started", width: "176px", from: 720, text: (r) => when(startOfRow(r))},
			{title: "Age", width: "62px", number: true, from: 1150, text: (r) => age(startOfRow(r))},
			{title: "Network", width: "minmax(110px, 1fr)", from: 820, text: networkOfRow},
			{title: "Remarks", width: "minmax(110px, 1.2fr)", from: 1000, text: remarksOfRow},
		],
		open: (row) => {
			if (row.type === "group") tree.toggle(row);
			else openDetail(row.type, row.type === "process" ? data.processes[row.i].pid : row.type === "pod" ? data.pods[row.i].uid : data.containers[row.i].id);
		},
		toggle: (row) => {
			opened.set(row.key, !row.open);
			tree.show(treeRows(), true);
		},
	});
	return tree;
}

function openAll(open) {
	data.pods.forEach((_, i) => opened.set(`pod ${i}`, open));
	data.containers.forEach((_, i) => opened.set(`container ${i}`, open));
	data.processes.forEach((_, i) => opened.delete(`process ${i}`));
	for (const i of [0, 1]) opened.set(`group ${i}`, open);
	tree.show(treeRows(), false);
}

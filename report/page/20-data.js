// What the page knows, and what belongs to what.

const severities = ["Info", "Low", "Medium", "High", "Critical"];

let data;
const byPID = new Map(); // process number by PID
let children = []; // of each process, by number
let findingsOfPod = [], findingsOfContainer = [], findingsOfNode = [];
const findingsOfPID = new Map(), socketsOfPID = new Map();
let socketsOfPod = [], processesOfContainer = [], loose = []; // loose: processes that are in no container

function load() {
	data = JSON.parse(byID("data").textContent);
	for (const name of ["findings", "notChecked", "pods", "containers", "processes", "sockets", "flows", "files", "kernel", "events", "gaps", "strings", "notes", "cut"]) {
		data[name] ||= [];
	}
	data.latest = 0;
	data.processes.forEach((p, i) => {
		byPID.set(p.pid, i);
		for (const name of ["exe", "cwd", "state"]) p[name] = data.strings[p[name]];
		if (p.start > data.latest) data.latest = p.start;
	});
	children = data.processes.map(() => []);
	data.processes.forEach((p, i) => {
		const parent = byPID.get(p.ppid);
		if (parent !== undefined && parent !== i) children[parent].push(i);
	});
	processesOfContainer = data.containers.map(() => []);
	data.processes.forEach((p, i) => {
		(p.container >= 0 ? processesOfContainer[p.container] : loose).push(i);
	});
	findingsOfPod = data.pods.map(() => []);
	findingsOfContainer = data.containers.map(() => []);
	data.findings.forEach((f, i) => {
		if (f.pod >= 0) findingsOfPod[f.pod].push(i);
		else findingsOfNode.push(i);
		if (f.container >= 0) findingsOfContainer[f.container].push(i);
		if (f.pid) put(findingsOfPID, f.pid, i);
	});
	socketsOfPod = data.pods.map(() => []);
	data.sockets.forEach((s, i) => {
		if (s.pod >= 0) socketsOfPod[s.pod].push(i);
		for (const pid of s.pids || []) put(socketsOfPID, pid, i);
	});
}

function put(map, key, item) {
	const list = map.get(key);
	if (list) list.push(item);
	else map.set(key, [item]);
}

// worst returns the highest severity of findings that nobody accepted, -1 for none.
function worst(list) {
	let max = -1;
	for (const i of list || []) {
		const f = data.findings[i];
		if (!f.accepted && f.severity > max) max = f.severity;
	}
	return max;
}

function podName(i) {
	if (i < 0) return "";
	const p = data.pods[i];
	return p.name ? `${p.namespace || "?"}/${p.name}` : `pod ${p.uid}`;
}

function containerName(i) {
	if (i < 0) return "";
	const c = data.containers[i];
	return c.name || c.id.slice(0, 13);
}

function processName(pid) {
	const i = byPID.get(pid);
	return i === undefined ? `${pid}` : `${pid} ${data.processes[i].comm}`;
}

// command is what a process was called with, or what it is called where that is nothing.
const command = (p) => (p.kernel ? `[${p.comm}]` : p.args || p.comm);

const user = (p) => (p.uid === undefined ? "" : p.euid === undefined ? String(p.uid) : `${p.uid}, acts as ${p.euid}`);

const deleted = (path) => path.endsWith(" (deleted)");

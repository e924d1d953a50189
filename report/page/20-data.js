// What the page knows, and what belongs to what.

const severities = ["Info", "Low", "Medium", "High", "Critical"];

let data;
const byPID = new Map(); // process number by PID
let children = []; // of each process, by number
let findingsOfPod = [], findingsOfContainer = [], findingsOfNode = [];
const findingsOfPID = new Map(), socketsOfPID = new Map();
let socketsOfPod = [], processesOfContainer = [], loose = []; // loose: processes that are in no container

// load takes what the first view needs, which stands before this script.
function load() {
	data = JSON.parse(byID("data").textContent);
	for (const name of ["findings", "notChecked", "pods", "containers", "notes", "cut", "processes", "sockets", "flows", "files", "kernel", "events", "gaps", "strings"]) {
		data[name] ||= [];
	}
	findingsOfPod = data.pods.map(() => []);
	findingsOfContainer = data.containers.map(() => []);
	socketsOfPod = data.pods.map(() => []);
	data.findings.forEach((f, i) => {
		if (f.pod >= 0) findingsOfPod[f.pod].push(i);
		else findingsOfNode.push(i);
		if (f.container >= 0) findingsOfContainer[f.container].push(i);
		if (f.pid) put(findingsOfPID, f.pid, i);
	});
}

// take takes the members of a part of the data, which stands behind this script.
function take(part) {
	const element = byID(`data-${part}`);
	for (const [name, list] of Object.entries(JSON.parse(element.textContent))) data[name] = list || [];
	element.remove(); // it is not needed twice
}

// parts are the parts of the data, and what is made of each when it is first needed.
const parts = {
	pods() {
		const {pods, containers} = data;
		take("pods");
		data.pods = pods.map((p, i) => Object.assign(p, data.pods[i]));
		data.containers = containers.map((c, i) => Object.assign(c, data.containers[i]));
	},
	processes() {
		take("processes");
		data.processes.forEach((p, i) => {
			byPID.set(p.pid, i);
			for (const name of ["exe", "cwd", "state"]) p[name] = data.strings[p[name]];
		});
		children = data.processes.map(() => []);
		processesOfContainer = data.containers.map(() => []);
		data.processes.forEach((p, i) => {
			const parent = byPID.get(p.ppid);
			if (parent !== undefined && parent !== i) children[parent].push(i);
			(p.container >= 0 ? processesOfContainer[p.container] : loose).push(i);
		});
	},
	network() {
		take("network");
		data.sockets.forEach((s, i) => {
			if (s.pod >= 0) socketsOfPod[s.pod].push(i);
			for (const pid of s.pids || []) put(socketsOfPID, pid, i);
		});
	},
	files() { take("files"); },
	kernel() { take("kernel"); },
	events() {
		need(["processes"]);
		take("events");
		const started = data.processes.filter((p) => p.start).map((p) => ({t: p.start, k: "process:start", x: `${p.comm} started`, pid: p.pid, pod: p.pod}));
		data.events = [...data.events, ...started].sort((a, b) => a.t - b.t || (a.k < b.k ? -1 : a.k > b.k ? 1 : 0));
	},
};

const everything = Object.keys(parts), there = new Set();

// need has parts of the data there, and says whether they are: while the page is still being read they are not.
function need(names) {
	const missing = names.filter((name) => !there.has(name));
	if (missing.length && document.readyState === "loading") return false;
	for (const name of missing) {
		if (there.has(name)) continue; // by now
		there.add(name);
		parts[name]();
	}
	return true;
}

// prepare has all parts there, one after the other, when there is nothing else to do.
function prepare() {
	const next = everything.find((name) => !there.has(name));
	if (!next) return;
	const later = window.requestIdleCallback || ((f) => setTimeout(f, 50));
	later(() => {
		need([next]);
		prepare();
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

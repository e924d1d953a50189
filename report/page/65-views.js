// The other views: a bar above a grid each.

const grids = {};

// link leads to the details of something, beside the view that is open.
function link(text, type, id) {
	return el("a", {href: `#${view}/${type}/${encodeURIComponent(id)}`, class: "to", onclick: (e) => {
		e.preventDefault();
		openDetail(type, id);
	}}, el("bdi", {text}));
}

const pidsText = (pids) => (pids || []).map(processName).join(", ");

function choice(name, options, chosen, change) {
	const id = `choice-${name}`;
	return el("span", {class: "choice"}, el("label", {for: id, text: name}),
		el("select", {id, onchange: (e) => change(e.target.value)}, ...options.map(([v, text]) => el("option", {value: v, text, selected: v === chosen}))));
}

function bar(title, shown, all, grid, ...more) {
	return el("div", {class: "bar"}, el("h2", {text: title}), el("p", {class: "count", text: shown === all ? count(all, "row") : `${digits(shown)} of ${count(all, "row")}`}), ...more,
		grid && el("button", {type: "button", class: "plain", text: "Copy rows", onclick: () => copy(grid.table(), count(grid.rows.length, "row"))}));
}

// missing says that the report lacks what a view shows.
function missing(section, what) {
	return data.sections[section] ? null : el("p", {class: "note", text: `${what} not read: the report was made without the section ${section}.`});
}

function viewPods(into) {
	tree ||= makeTree();
	const rows = treeRows();
	into.append(bar("Pods", found("pod").length, data.pods.length, tree,
		el("button", {type: "button", class: "plain", text: "Open all", onclick: () => openAll(true)}), el("button", {type: "button", class: "plain", text: "Close all", onclick: () => openAll(false)})), tree.element);
	tree.show(rows, true);
}

function viewProcesses(into) {
	const p = (i) => data.processes[i];
	grids.processes ||= new Grid({label: "Processes", empty: "No process has all of these words.", open: (i) => openDetail("process", p(i).pid), columns: [
		{title: "PID", width: "76px", number: true, text: (i) => String(p(i).pid), order: (i) => p(i).pid},
		{title: "Parent", width: "70px", number: true, from: 1000, text: (i) => String(p(i).ppid), order: (i) => p(i).ppid},
		{title: "Name", width: "minmax(96px, 150px)", from: 560, text: (i) => p(i).comm},
		{title: "Command", width: "minmax(140px, 3fr)", text: (i) => command(p(i))},
		{title: "Findings", width: "minmax(104px, 130px)", down: true, text: (i) => findingText(findingsOfPID.get(p(i).pid)), order: (i) => worst(findingsOfPID.get(p(i).pid)) + 1,
			fill: (c, i) => c.append(findingMark(findingsOfPID.get(p(i).pid)) || "")},
		{title: "Pod", width: "minmax(120px, 1.5fr)", from: 720, text: (i) => podName(p(i).pod)},
		{title: "Container", width: "minmax(80px, 1fr)", from: 1100, text: (i) => containerName(p(i).container)},
		{title: "User", width: "70px", number: true, from: 640, text: (i) => user(p(i)), order: (i) => p(i).uid ?? -1},
		{title: "Started (UTC)", width: "176px", from: 860, down: true, text: (i) => when(p(i).start), order: (i) => p(i).start || 0},
		{title: "Age", width: "62px", number: true, from: 1240, text: (i) => age(p(i).start), order: (i) => p(i).start || 0},
		{title: "Program", width: "minmax(110px, 1.3fr)", from: 1240, text: (i) => p(i).exe || ""},
	]});
	if (data.findings.length && !grids.processes.given) {
		grids.processes.sortBy = grids.processes.all[4];
		grids.processes.down = true;
	}
	const rows = found("process").filter((i) => chosen.processes === "all" || (chosen.processes === "kernel") === Boolean(p(i).kernel));
	into.append(bar("Processes", rows.length, data.processes.length, grids.processes,
		choice("Show", [["user", "programs"], ["kernel", "kernel threads"], ["all", "all"]], chosen.processes, choose("processes"))), grids.processes.element);
	grids.processes.show(rows);
}

const chosen = {processes: "user", connections: "internet", files: "gone", timeline: "quiet"};

const choose = (name) => (v) => {
	chosen[name] = v;
	refresh();
	byID("choice-Show")?.focus();
};

function viewConnections(into) {
	const about = missing("network", "Connections were");
	grids.connections ||= new Grid({label: "Connections", empty: "No connection has all of these words.", open: (r) => openDetail(r.type, r.i), columns: [
		{title: "Protocol", width: "84px", text: (r) => r.of.protocol},
		{title: "State", width: "112px", from: 520, text: (r) => r.of.state || ""},
		{title: "Local", width: "minmax(130px, 1.4fr)", text: (r) => (r.type === "socket" ? r.of.local : r.of.from) || ""},
		{title: "Remote", width: "minmax(130px, 1.4fr)", text: (r) => (r.type === "socket" ? r.of.remote : r.of.real ? `${r.of.to}, sent to ${r.of.real}` : r.of.to) || ""},
		{title: "Pod", width: "minmax(120px, 1.3fr)", from: 640, text: (r) => podName(r.of.pod)},
		{title: "Other end", width: "minmax(110px, 1.3fr)", from: 900, text: (r) => podName(r.of.peer)},
		{title: "Processes", width: "minmax(120px, 1.4fr)", from: 780, text: (r) => pidsText(r.of.pids)},
		{title: "Seen by", width: "100px", from: 1150, text: (r) => (r.type === "socket" ? "socket" : "tracking")},
		{title: "Remarks", width: "minmax(100px, 1fr)", from: 1250, text: (r) => r.of.note || ""},
	]});
	const isUnix = (s) => s.protocol.startsWith("unix");
	const takes = {
		all: () => true, unix: (r) => r.type === "socket" && isUnix(r.of),
		internet: (r) => r.type === "flow" || (!isUnix(r.of) && /[0-9*\]]:/.test(r.of.local || "")),
		listen: (r) => r.of.state === "LISTEN" && !isUnix(r.of),
		pods: (r) => r.of.pod >= 0 && r.of.peer >= 0,
	}[chosen.connections];
	const rows = [...found("socket").map((i) => ({type: "socket", i, of: data.sockets[i]})), ...found("flow").map((i) => ({type: "flow", i, of: data.flows[i]}))].filter(takes);
	into.append(bar("Connections", rows.length, data.sockets.length + data.flows.length, grids.connections,
		choice("Show", [["internet", "internet"], ["listen", "listening"], ["pods", "between pods"], ["unix", "unix sockets"], ["all", "all sockets"]], chosen.connections, choose("connections"))),
		about || "", grids.connections.element);
	grids.connections.show(rows);
}

function viewFiles(into) {
	grids.files ||= new Grid({label: "Files", empty: "No file has all of these words.", open: (r) => (r.type === "file" ? openDetail("file", r.i) : openDetail("process", r.pids[0])), columns: [
		{title: "Path", width: "minmax(160px, 3fr)", text: (r) => r.path},
		{title: "State", width: "110px", from: 520, text: (r) => r.state},
		{title: "Size", width: "84px", number: true, from: 600, down: true, text: (r) => (r.size === undefined ? "" : bytes(r.size)), order: (r) => r.size ?? -1},
		{title: "In memory", width: "92px", number: true, from: 900, down: true, text: (r) => (r.cached === undefined ? "" : bytes(r.cached)), order: (r) => r.cached ?? -1},
		{title: "Held as", width: "84px", from: 820, text: (r) => r.how},
		{title: "Processes", width: "minmax(120px, 1.5fr)", from: 460, text: (r) => pidsText(r.pids)},
		{title: "Pod", width: "minmax(120px, 1.4fr)", from: 720, text: (r) => podName(r.pod)},
		{title: "Changed (UTC)", width: "176px", from: 1000, down: true, text: (r) => when(r.changed), order: (r) => r.changed || 0},
		{title: "On", width: "80px", from: 1150, text: (r) => r.fs},
	]});
	const gone = found("file").map((i) => {
		const f = data.files[i];
		return {type: "file", i, path: f.path || `inode ${f.inode}`, state: f.path ? "deleted" : "nameless", size: f.size, cached: f.cached, how: f.how, pids: f.pids || [], pod: f.pod, changed: f.changed, fs: f.fs};
	});
	const open = found("open").map((i) => {
		const f = openFiles()[i], p = data.processes[f.process], path = data.strings[f.path];
		return {type: "open", path, state: deleted(path) ? "deleted" : "open", how: `fd ${f.fd}`, pids: [p.pid], pod: p.pod, fs: ""};
	}).filter((r) => chosen.files === "open" || (r.state === "deleted" && !data.sections.files));
	const rows = chosen.files === "gone" ? [...gone, ...open] : open;
	into.append(bar("Files", rows.length, chosen.files === "gone" ? data.files.length || rows.length : openFiles().length, grids.files,
		choice("Show", [["gone", "deleted or nameless"], ["open", "open files"]], chosen.files, choose("files"))),
		missing("files", "File systems were") || "", grids.files.element);
	grids.files.show(rows);
}

function viewKernel(into) {
	const k = (i) => data.kernel[i];
	grids.kernel ||= new Grid({label: "Kernel", empty: "No module, program or hook has all of these words.", open: (i) => openDetail("kernel", i), columns: [
		{title: "Kind", width: "110px", text: (i) => k(i).kind},
		{title: "Name", width: "minmax(140px, 1fr)", text: (i) => k(i).name},
		{title: "Mark", width: "84px", from: 560, down: true, text: (i) => (k(i).bad ? "look at it" : ""), order: (i) => (k(i).bad ? 1 : 0)},
		{title: "What is known", width: "minmax(140px, 3fr)", from: 420, text: (i) => k(i).text || ""},
		{title: "Pod", width: "minmax(120px, 1fr)", from: 900, text: (i) => podName(k(i).pod)},
		{title: "Address", width: "160px", from: 760, text: (i) => k(i).address},
	]});
	const rows = found("kernel").slice().sort((a, b) => Boolean(k(b).bad) - Boolean(k(a).bad) || a - b);
	into.append(bar("Kernel", rows.length, data.kernel.length, grids.kernel), ...["modules", "bpf", "hooks"].map((s) => missing(s, {modules: "Modules were", bpf: "BPF programs were", hooks: "Hooks were"}[s]) || ""),
		grids.kernel.element);
	grids.kernel.show(rows);
}

function viewLosses(into) {
	const g = (i) => data.gaps[i];
	into.append(el("h2", {text: "Losses"}));
	into.append(el("p", {class: "lead", text: data.gaps.length ? "What was in memory and could not be read. What it is of may be missing above, or incomplete." : "Nothing was lost: all that was looked for could be read."}));
	const by = new Map();
	data.gaps.forEach((x) => by.set(x.reason, (by.get(x.reason) || 0) + 1));
	if (by.size) into.append(el("ul", {class: "causes"}, ...[...by].sort((a, b) => b[1] - a[1]).map(([reason, n]) => el("li", {}, el("strong", {text: digits(n)}), ` ${reason}`))));
	for (const [title, list] of [["Not known, although nothing was lost", data.notes], ["Not in this page", data.cut]]) {
		if (list.length) into.append(el("h3", {text: title}), el("ul", {}, ...list.map((n) => el("li", {text: n}))));
	}
	if (data.notChecked.length) into.append(unchecked());
	if (!data.gaps.length) return;
	grids.losses ||= new Grid({label: "Losses", empty: "No loss has all of these words.", open: (i) => openDetail("gap", i), columns: [
		{title: "What", width: "minmax(140px, 1.2fr)", text: (i) => g(i).object},
		{title: "Reason", width: "120px", from: 460, text: (i) => g(i).reason},
		{title: "Why", width: "minmax(140px, 2fr)", from: 560, text: (i) => g(i).why},
		{title: "Where", width: "minmax(140px, 1fr)", from: 820, text: (i) => g(i).place || ""},
	]});
	into.append(grids.losses.element);
	grids.losses.element.classList.add("tall");
	grids.losses.show(found("gap"));
}

function viewAbout(into) {
	into.append(el("h2", {text: "About"}), facts(data.about),
		el("h3", {text: "Keys"}), el("dl", {class: "facts"}, ...[["/", "to the search"], ["1 to 9", "to a view"], ["Arrow keys", "through a table; in a tree, right opens and left closes"],
			["Enter", "the details of a row; on a head, sorts by the column"], ["Ctrl C", "copies the cell at hand"], ["Escape", "closes the details, then empties the search"]].flatMap(([k, v]) => [el("dt", {}, el("kbd", {text: k})), el("dd", {text: v})])),
		el("h3", {text: "How to read it"}), el("p", {text: "All names come out of the image: whoever ran code on the node chose them. What a terminal or a page would obey in them is shown as an escape, such as \\u202e or \\x1b, and a backslash as two. Times are UTC, ages are counted back from the capture. This page loads nothing and sends nothing."}));
}

function facts(list) {
	return el("dl", {class: "facts"}, ...list.flatMap((f) => [el("dt", {text: f.n}), el("dd", {class: f.bad ? "bad" : ""}, value(f.v, f.n, true))]));
}

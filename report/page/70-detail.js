// Beside a view: all that is known of one thing.

const longList = 200;

function section(title, ...kids) {
	const inside = kids.filter(Boolean);
	return inside.length ? el("section", {}, el("h3", {text: title}), ...inside) : null;
}

// items is a list that shows its first part, and the rest when asked.
function items(list, make) {
	if (!list.length) return null;
	const ul = el("ul", {class: "items"}, ...list.slice(0, longList).map((x) => el("li", {}, ...[make(x)].flat())));
	if (list.length <= longList) return ul;
	const more = el("button", {type: "button", class: "plain", text: `Show all ${digits(list.length)}`, onclick: () => {
		ul.append(...list.slice(longList, 20000).map((x) => el("li", {}, ...[make(x)].flat())));
		more.remove();
	}});
	return el("div", {}, ul, more);
}

function findingsSection(list) {
	return section("Findings", ...(list || []).slice(0, longList).map((i) => card(data.findings[i], false)));
}

function gapsSection(gaps) {
	return section("Lost of it", gaps?.length && items(gaps, (i) => value(`${data.gaps[i].object}: ${data.gaps[i].why}`, "the loss", true)));
}

const fact = (n, v, bad) => ({n, v, bad});

const details = {
	process(pid) {
		const p = data.processes[byPID.get(Number(pid))];
		if (!p) return null;
		const sockets = socketsOfPID.get(p.pid) || [], where = el("p", {class: "where"});
		if (p.pod >= 0) where.append("in ", link(podName(p.pod), "pod", data.pods[p.pod].uid));
		if (p.container >= 0) where.append(p.pod >= 0 ? ", container " : "in container ", link(containerName(p.container), "container", data.containers[p.container].id));
		if (p.pod < 0 && p.container < 0) where.append(p.kernel ? "a thread of the kernel" : "in no pod");
		const parent = byPID.get(p.ppid);
		const kids = children[byPID.get(p.pid)];
		const about = [fact("PID", String(p.pid)), p.inner?.length && fact("PID in its namespaces", p.inner.join(", ")), fact("State", p.state), fact("User", user(p) || "not known", p.euid !== undefined),
			p.gid !== undefined && fact("Group", String(p.gid)), fact("Started", p.start ? `${when(p.start)} UTC, ${age(p.start)} before the capture` : "not known"), p.threads && fact("Threads", String(p.threads)),
			p.exe && fact("Program", p.exe, deleted(p.exe)), p.cwd && fact("Working directory", p.cwd), data.strings[p.cgroup] && fact("Control group", data.strings[p.cgroup]), fact("Namespaces", data.strings[p.ns]),
			p.security >= 0 && fact("Rights", data.strings[p.security]), p.hidden && fact("Found by", `${p.hidden}: it is not where all processes are`, true), fact("task_struct", p.address)];
		return {kind: "Process", title: `${p.pid} ${p.comm}`, body: [where, findingsSection(findingsOfPID.get(p.pid)), gapsSection(p.gaps), section("Command", p.args && value(p.args, "the command", true)),
			facts(about.filter(Boolean)),
			section("Parent and children", items([parent, ...kids].filter((i) => i !== undefined), (i) => link(`${data.processes[i].pid} ${command(data.processes[i])}`, "process", data.processes[i].pid))),
			section("Sockets", items(sockets, (i) => link(socketText(data.sockets[i]), "socket", i))),
			section("Open files", items((p.fds || []).map((fd, i) => [fd, p.paths[i]]), ([fd, path]) => [el("span", {class: "fd", text: String(fd)}), value(data.strings[path] || "not known", `descriptor ${fd}`, true)])),
			section("Environment", items(p.env || [], (n) => value(data.strings[n], "the variable", true)))]};
	},
	pod(uid) {
		const i = data.pods.findIndex((p) => p.uid === uid), p = data.pods[i];
		if (!p) return null;
		return {kind: "Pod", title: podName(i), body: [findingsSection(findingsOfPod[i]), gapsSection(p.gaps),
			section("Containers", items(p.containers, (c) => [link(containerName(c), "container", data.containers[c].id), ` ${data.containers[c].image || ""}`, el("span", {class: "soft", text: ` ${count(processesOfContainer[c].length, "process", "processes")}`})])),
			section("Connections", items(socketsOfPod[i].filter((s) => !data.sockets[s].protocol.startsWith("unix")), (s) => link(socketText(data.sockets[s]), "socket", s))),
			section("What is known, and from where", facts([...(p.start ? [fact("First process", `${when(p.start)} UTC, ${age(p.start)} before the capture`)] : []), ...p.facts]))]};
	},
	container(id) {
		const i = data.containers.findIndex((c) => c.id === id), c = data.containers[i];
		if (!c) return null;
		return {kind: c.sandbox ? "Sandbox" : "Container", title: containerName(i), body: [c.pod >= 0 && el("p", {class: "where"}, "in ", link(podName(c.pod), "pod", data.pods[c.pod].uid)), findingsSection(findingsOfContainer[i]),
			section("Processes", items(processesOfContainer[i], (n) => link(`${data.processes[n].pid} ${command(data.processes[n])}`, "process", data.processes[n].pid))),
			section("What is known", facts(c.facts)), data.sections.containers ? null : missing("containers", "What it was asked to be and may do was")]};
	},
	socket(i) {
		const s = data.sockets[Number(i)];
		if (!s) return null;
		return {kind: "Socket", title: socketText(s), body: [facts([fact("Protocol", s.protocol), s.state && fact("State", s.state), s.local && fact("Local", s.local), s.remote && fact("Remote", s.remote),
			fact("Network namespace", String(s.netns || "not known")), s.inode && fact("Inode", String(s.inode)), s.note && fact("Remarks", s.note, true), fact("struct sock", s.address)].filter(Boolean)),
			section("Held by", s.pids?.length ? items(s.pids, (pid) => link(processName(pid), "process", pid)) : el("p", {text: "no process"})),
			section("Pods", items([s.pod, s.peer].filter((n) => n >= 0), (n) => [link(podName(n), "pod", data.pods[n].uid), n === s.peer && n !== s.pod ? " at the other end" : ""]))]};
	},
	flow(i) {
		const f = data.flows[Number(i)];
		if (!f) return null;
		return {kind: "Tracked connection", title: `${f.protocol} ${f.from} → ${f.to}`, body: [facts([fact("Protocol", f.protocol), f.state && fact("State", f.state), fact("From", f.from), fact("To", f.to), f.real && fact("Sent on to", f.real),
			f.start && fact("Began", `${when(f.start)} UTC`), f.address && fact("struct nf_conn", f.address)].filter(Boolean)),
			section("Pods", items([f.pod, f.peer].filter((n) => n >= 0), (n) => link(podName(n), "pod", data.pods[n].uid)))]};
	},
	file(i) {
		const f = data.files[Number(i)];
		if (!f) return null;
		return {kind: "File", title: f.path || `inode ${f.inode} on ${f.fs}`, body: [facts([fact("Path", f.path || "none"), fact("File system", f.fs), fact("Inode", String(f.inode)), fact("Type and mode", f.mode), fact("Size", `${f.size} bytes`),
			fact("In memory", `${f.cached} bytes`), f.how && fact("Held as", f.how), f.changed && fact("Changed", `${when(f.changed)} UTC`), fact("struct inode", f.address)].filter(Boolean)),
			section("Held by", f.pids?.length ? items(f.pids, (pid) => link(processName(pid), "process", pid)) : el("p", {text: "no process"})),
			f.pod >= 0 && section("Pod", link(podName(f.pod), "pod", data.pods[f.pod].uid))]};
	},
	kernel(i) {
		const k = data.kernel[Number(i)];
		return k && {kind: k.kind, title: k.name, body: [facts([fact("What is known", k.text || "nothing more", k.bad), fact("Address", k.address)]), k.pod >= 0 && section("Pod", link(podName(k.pod), "pod", data.pods[k.pod].uid))]};
	},
	gap(i) {
		const g = data.gaps[Number(i)];
		return g && {kind: "Loss", title: g.object, body: [facts([fact("Reason", g.reason), fact("Why", g.why), fact("Where", g.place || "nowhere in particular")]), g.pid && byPID.has(g.pid) && section("Of", link(processName(g.pid), "process", g.pid))]};
	},
};

function socketText(s) {
	return [s.protocol, s.state, s.local, s.remote && `→ ${s.remote}`, s.peer >= 0 && s.peer !== s.pod && `(${podName(s.peer)})`].filter(Boolean).join(" ");
}

let before = null; // what had the focus before the details were opened

function openDetail(type, id) {
	const here = document.activeElement;
	if (here && !byID("detail").contains(here)) before = here;
	wantFocus = true;
	location.hash = `${view}/${type}/${encodeURIComponent(id)}`;
}

let wantFocus = false;

function showDetail(type, id) {
	const panel = byID("detail"), made = Object.hasOwn(details, type) && need(everything.filter((name) => name !== "events")) ? details[type](id) : null;
	if (!made) {
		hideDetail();
		return;
	}
	panel.hidden = false;
	document.body.classList.add("with-detail");
	const title = el("h2", {id: "detail-title", tabindex: -1}, el("span", {class: "kind", text: made.kind}), value(made.title, "the name", true));
	panel.replaceChildren(el("div", {class: "panelhead"}, title, el("button", {type: "button", class: "plain", "aria-label": "Close the details", text: "✕", onclick: closeDetail})),
		el("div", {class: "panelbody", tabindex: 0, role: "group", "aria-label": "Details"}, ...made.body.filter(Boolean)));
	if (wantFocus) title.focus();
	wantFocus = false;
}

function hideDetail() {
	byID("detail").hidden = true;
	byID("detail").replaceChildren();
	document.body.classList.remove("with-detail");
}

function closeDetail() {
	location.hash = view;
	if (before?.isConnected) before.focus();
	else byID("main").focus();
}

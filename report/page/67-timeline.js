// What happened when: bars of how much, and each event.

let range = null; // [from, to) in milliseconds, or all

function viewTimeline(into) {
	const e = (i) => data.events[i];
	grids.timeline ||= new Grid({label: "Timeline", empty: "No event has all of these words.", open: (i) => openEvent(e(i)), columns: [
		{title: "Time (UTC)", width: "176px", text: (i) => when(e(i).t), order: (i) => e(i).t},
		{title: "Before capture", width: "124px", number: true, from: 900, text: (i) => age(e(i).t), order: (i) => e(i).t},
		{title: "Kind", width: "140px", from: 560, text: (i) => e(i).k},
		{title: "What", width: "minmax(140px, 3fr)", text: (i) => e(i).x},
		{title: "Process", width: "minmax(110px, 1fr)", from: 760, text: (i) => (e(i).pid ? processName(e(i).pid) : "")},
		{title: "Pod", width: "minmax(120px, 1.3fr)", from: 640, text: (i) => podName(e(i).pod)},
	]});
	const wanted = {quiet: (k) => !k.startsWith("log:"), all: () => true, process: (k) => k.startsWith("process:"), file: (k) => k.startsWith("file:"),
		network: (k) => k.startsWith("connection:"), log: (k) => k.startsWith("log:")}[chosen.timeline];
	const inKind = found("event").filter((i) => wanted(e(i).k));
	const rows = range ? inKind.filter((i) => e(i).t >= range[0] && e(i).t < range[1]) : inKind;
	into.append(bar("Timeline", rows.length, data.events.length, grids.timeline,
		choice("Show", [["quiet", "all but the kernel's log"], ["process", "processes"], ["file", "files"], ["network", "connections"], ["log", "the kernel's log"], ["all", "all"]], chosen.timeline, choose("timeline")),
		range && el("button", {type: "button", class: "plain", text: "All times", onclick: () => setRange(null)})), bars(inKind), grids.timeline.element);
	grids.timeline.show(rows);
}

function setRange(r) {
	range = r;
	refresh();
	say(r ? `Only ${when(r[0])} to ${when(r[1])}` : "All times");
}

function openEvent(e) {
	if (e.pid && byPID.has(e.pid)) openDetail("process", e.pid);
	else if (e.pod >= 0) openDetail("pod", data.pods[e.pod].uid);
}

// bars are how many events there were in each of 60 parts of the time that most of them lie in. A click shows one part.
function bars(list) {
	const times = list.map((i) => data.events[i].t);
	if (times.length < 2) return "";
	let from = times[0], to = times[times.length - 1];
	const low = times[Math.floor(times.length * 0.02)], high = times[Math.ceil(times.length * 0.98) - 1];
	if (!range && to - from > 20 * (high - low) && high > low) [from, to] = [low, high]; // a few lie far off, as times of old files do
	if (range) [from, to] = [range[0], range[1] - 1];
	if (to <= from) return "";
	const parts = 60, step = (to - from + 1) / parts, counts = new Array(parts).fill(0), bad = new Array(parts).fill(false);
	for (const i of list) {
		const e = data.events[i], n = Math.floor((e.t - from) / step);
		if (n < 0 || n >= parts) continue;
		counts[n]++;
		if (e.pid && worst(findingsOfPID.get(e.pid)) >= 3) bad[n] = true;
	}
	const max = Math.max(...counts), height = 64;
	const drawing = svg("svg", {viewBox: `0 0 ${parts * 10} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true"},
		...counts.map((n, i) => {
			const h = n ? Math.max(3, (Math.sqrt(n) / Math.sqrt(max)) * (height - 10)) : 0;
			const g = svg("g", {class: bad[i] ? "bad" : ""}, svg("rect", {x: i * 10, y: 0, width: 10, height, class: "back"}), svg("rect", {x: i * 10 + 1, y: height - h, width: 8, height: h}));
			if (bad[i]) g.append(svg("path", {d: `M ${i * 10 + 5} ${Math.max(1, height - h - 7)} l 3.5 5 h -7 z`}));
			const title = svg("title", {});
			title.textContent = `${when(from + i * step)}: ${count(n, "event")}${bad[i] ? ", with a process that has findings of high severity" : ""}`;
			g.append(title);
			if (n) g.addEventListener("click", () => setRange([Math.floor(from + i * step), Math.ceil(from + (i + 1) * step)]));
			return g;
		}));
	return el("figure", {class: "bars"}, drawing, el("figcaption", {}, el("span", {text: when(from)}), el("span", {text: `${count(list.length, "event")} in parts of ${span(step)}; ▲ a process with findings of high severity began or wrote`}), el("span", {text: when(to)})));
}

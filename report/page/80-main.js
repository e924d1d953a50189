// The page as a whole: views, search, keys, looks.

// Each view: its name, its title, what shows it, how much there is in it by what is found of which kinds, and the parts of the data that it takes.
const views = [
	["findings", "Findings", viewFindings, ["finding"], []],
	["pods", "Pods", viewPods, ["pod"], ["pods", "processes", "network"]],
	["processes", "Processes", viewProcesses, ["process"], ["processes"]],
	["connections", "Connections", viewConnections, ["socket", "flow"], ["processes", "network"]],
	["files", "Files", viewFiles, ["file", "open"], ["processes", "files"]],
	["kernel", "Kernel", viewKernel, ["kernel"], ["kernel"]],
	["timeline", "Timeline", viewTimeline, ["event"], ["events"]],
	["losses", "Losses", viewLosses, ["gap"], ["pods", "processes"]],
	["about", "About", viewAbout, [], []],
];

// total is how many rows of a kind there are, also of a part that was not needed yet.
const total = (kind) => ({finding: data.findings.length, pod: data.pods.length, container: data.containers.length, process: data.totals.processes, socket: data.totals.sockets,
	flow: data.totals.flows, file: data.totals.files, open: data.totals.open, kernel: data.totals.kernel, event: data.totals.events, gap: data.totals.gaps})[kind];

// amount is how much there is in a view, or how much is found there.
const amount = (v) => v[3].reduce((n, kind) => n + (terms.length ? found(kind).length : total(kind)), 0);

const named = (name) => views.find((v) => v[0] === name);

// wants are the parts of the data that a view takes: a search goes through all.
const wants = (name) => (terms.length ? everything : named(name)[4]);

let view = "findings", drawn = "";

function start() {
	load();
	const title = byID("title");
	title.replaceChildren(value(title.textContent, "the name of the node"));
	byID("facts").replaceChildren(...headFacts());
	makeNav();
	setTheme(remembered());
	byID("theme").addEventListener("click", () => setTheme({auto: "light", light: "dark", dark: "auto"}[theme]));
	let timer = 0;
	byID("q").addEventListener("input", (e) => {
		clearTimeout(timer);
		timer = setTimeout(() => search(e.target.value), 90);
	});
	byID("find").addEventListener("submit", (e) => {
		e.preventDefault();
		search(byID("q").value);
		byID("main").querySelector("[role=grid], [role=treegrid], summary, a")?.focus();
	});
	document.addEventListener("keydown", keys);
	window.addEventListener("hashchange", route);
	document.addEventListener("DOMContentLoaded", () => {
		if (byID("q").value) search(byID("q").value);
		route();
		prepare();
	});
	window.addEventListener("beforeprint", () => forPaper(true));
	window.addEventListener("afterprint", () => forPaper(false));
	route();
	performance.mark("interactive");
	document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

function headFacts() {
	const list = [];
	if (data.captured) list.push(`captured ${when(data.captured)} UTC`);
	if (data.booted) list.push(`up ${span((data.captured || data.latest) - data.booted)}`);
	list.push(count(data.pods.length, "pod"), count(data.totals.processes, "process", "processes"));
	const kernel = data.about.find((f) => f.n === "Kernel");
	if (kernel) list.unshift(`Linux ${kernel.v}`);
	return list.map((text, i) => el("span", {text: i ? ` · ${text}` : text}));
}

function makeNav() {
	byID("nav").replaceChildren(el("ul", {}, ...views.map(([name, title], i) => el("li", {}, el("a", {href: `#${name}`, "aria-current": name === view ? "page" : null, "data-view": name, title: `Key ${i + 1}`},
		el("span", {text: title}), el("span", {class: "n", "data-count": name}))))));
	counts();
}

// counts says in the navigation how much there is in each view, or how much is found.
function counts() {
	for (const v of views) {
		document.querySelector(`[data-count=${v[0]}]`).textContent = v[3].length ? digits(amount(v)) : "";
	}
}

function route() {
	const [name, type, id] = location.hash.slice(1).split("/");
	view = named(name) ? name : "findings";
	for (const a of byID("nav").querySelectorAll("a")) {
		if (a.dataset.view === view) a.setAttribute("aria-current", "page");
		else a.removeAttribute("aria-current");
	}
	if (drawn !== view) draw();
	if (type) {
		let plain = "";
		try {
			plain = decodeURIComponent(id || "");
		} catch {
			plain = "";
		}
		showDetail(type, plain);
	} else {
		hideDetail();
	}
}

function draw() {
	drawn = view;
	const main = byID("main");
	main.className = `view ${view}`;
	main.scrollTop = 0;
	main.replaceChildren();
	document.title = `${data.title}: ${named(view)[1]}`;
	if (need(wants(view))) {
		named(view)[2](main);
		return;
	}
	main.append(el("p", {class: "note", text: "The rest of the page is still being read."}));
	drawn = ""; // it is drawn when that is done
}

const refresh = () => draw();

function search(query) {
	if (query && !need(everything)) return; // it is done when the page was read
	setQuery(query);
	shownGroups = 20;
	counts();
	draw();
	const v = named(view);
	say(terms.length ? `${digits(amount(v))} found in ${v[1]}` : "");
}

function keys(e) {
	const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
	if (e.key === "Escape") {
		if (!byID("detail").hidden) closeDetail();
		else if (byID("q").value) {
			byID("q").value = "";
			search("");
		}
		return;
	}
	if (typing || e.ctrlKey || e.altKey || e.metaKey) return;
	if (e.key === "/") {
		e.preventDefault();
		byID("q").focus();
	} else if (e.key >= "1" && e.key <= String(views.length)) {
		location.hash = views[Number(e.key) - 1][0];
	}
}

let theme = "auto";

function remembered() {
	try {
		return localStorage.getItem("nodelens-theme") || "auto";
	} catch {
		return "auto"; // it may be forbidden to pages from disk
	}
}

function setTheme(name) {
	theme = ["auto", "light", "dark"].includes(name) ? name : "auto";
	document.documentElement.dataset.theme = theme;
	byID("theme").textContent = `Theme: ${theme}`;
	try {
		localStorage.setItem("nodelens-theme", theme);
	} catch {
		// it is not remembered then
	}
}

function forPaper(on) {
	need(everything);
	for (const g of [tree, ...Object.values(grids)]) g?.print(on);
	for (const d of document.querySelectorAll("details")) {
		if (on && !d.open) d.dataset.closed = "yes";
		if (on) d.open = true;
		else if (d.dataset.closed) {
			d.open = false;
			delete d.dataset.closed;
		}
	}
}

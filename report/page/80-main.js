// The page as a whole: views, search, keys, looks.

const views = [
	["findings", "Findings", viewFindings, () => found("finding").length],
	["pods", "Pods", viewPods, () => found("pod").length],
	["processes", "Processes", viewProcesses, () => found("process").length],
	["connections", "Connections", viewConnections, () => found("socket").length + found("flow").length],
	["files", "Files", viewFiles, () => found("file").length + (terms.length ? found("open").length : openCount())],
	["kernel", "Kernel", viewKernel, () => found("kernel").length],
	["timeline", "Timeline", viewTimeline, () => found("event").length],
	["losses", "Losses", viewLosses, () => found("gap").length],
	["about", "About", viewAbout, () => ""],
];

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
	list.push(count(data.pods.length, "pod"), count(data.processes.length, "process", "processes"));
	const kernel = data.about.find((f) => f.n === "Kernel");
	if (kernel) list.unshift(`Linux ${kernel.v}`);
	return list.map((text, i) => el("span", {text: i ? ` · ${text}` : text}));
}

function makeNav() {
	byID("nav").replaceChildren(el("ul", {}, ...views.map(([name, title, , n], i) => el("li", {}, el("a", {href: `#${name}`, "aria-current": name === view ? "page" : null, "data-view": name, title: `Key ${i + 1}`},
		el("span", {text: title}), el("span", {class: "n", "data-count": name}))))));
	counts();
}

// counts says in the navigation how much there is in each view, or how much is found.
function counts() {
	for (const [name, , , n] of views) {
		document.querySelector(`[data-count=${name}]`).textContent = digits(n());
	}
}

function route() {
	const [name, type, id] = location.hash.slice(1).split("/");
	view = views.some((v) => v[0] === name) ? name : "findings";
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
	views.find((v) => v[0] === view)[2](main);
	document.title = `${data.title}: ${views.find((v) => v[0] === view)[1]}`;
}

const refresh = () => draw();

function search(query) {
	setQuery(query);
	shownGroups = 20;
	counts();
	draw();
	const v = views.find((x) => x[0] === view);
	say(terms.length ? `${v[3]()} found in ${v[1]}` : "");
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

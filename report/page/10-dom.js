// Elements are made here, and all text gets into them as text: no name from an image can be markup.

const byID = (id) => document.getElementById(id);

// el makes an element. Properties that begin with "on" are listeners, "text" is its text, "class" its class; the others are
// attributes, left out where they are null or false.
function el(tag, props, ...kids) {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(props || {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name === "text") e.textContent = value;
		else if (name === "class") e.className = value;
		else if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
		else e.setAttribute(name, value === true ? "" : String(value));
	}
	e.append(...kids.filter((k) => k !== null && k !== undefined && k !== false));
	return e;
}

function svg(tag, props, ...kids) {
	const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(props || {})) e.setAttribute(name, String(value));
	e.append(...kids);
	return e;
}

// say tells what happened to those who do not see it.
function say(text) {
	byID("said").textContent = text;
}

// copy puts a text on the clipboard.
async function copy(text, what) {
	let done = false;
	try {
		await navigator.clipboard.writeText(text);
		done = true;
	} catch {
		const area = el("textarea", {class: "hidden", "aria-hidden": "true"});
		area.value = text;
		document.body.append(area);
		area.select();
		done = document.execCommand("copy");
		area.remove();
	}
	say(done ? `Copied ${what}` : "The browser did not let it be copied");
	toast(done ? `Copied ${what}` : "Not copied: the browser did not let it");
}

let toastTimer = 0;

// toast shows a few words for a moment.
function toast(text) {
	document.querySelector(".toast")?.remove();
	document.body.append(el("div", {class: "toast", "aria-hidden": "true", text}));
	clearTimeout(toastTimer);
	toastTimer = setTimeout(() => document.querySelector(".toast")?.remove(), 1600);
}

// value is a value that copies.
function value(text, what, wide) {
	text = String(text);
	return el("span", {class: wide ? "value wide" : "value"},
		el("bdi", {text}),
		el("button", {type: "button", class: "copy", "aria-label": `Copy ${what}`, title: "Copy", onclick: () => copy(text, what)}));
}

// digits shows a number with commas. The browser's own way loads its tables of languages first, which the first view waits for.
const digits = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

const count = (n, one, many) => `${digits(n)} ${n === 1 ? one : many || one + "s"}`;

const pad = (n, digits) => String(n).padStart(digits, "0");

// when shows a time, which is in milliseconds since 1970, in UTC.
function when(ms) {
	if (!ms) return "";
	const t = new Date(ms);
	return `${t.getUTCFullYear()}-${pad(t.getUTCMonth() + 1, 2)}-${pad(t.getUTCDate(), 2)} ${clock(ms)}`;
}

function clock(ms) {
	const t = new Date(ms);
	return `${pad(t.getUTCHours(), 2)}:${pad(t.getUTCMinutes(), 2)}:${pad(t.getUTCSeconds(), 2)}`;
}

// span shows how long something took, roughly.
function span(ms) {
	const s = Math.round(ms / 1000);
	if (s < 120) return `${s} s`;
	if (s < 7200) return `${Math.round(s / 60)} min`;
	if (s < 172800) return `${Math.round(s / 3600)} h`;
	return `${Math.round(s / 86400)} d`;
}

// age says how long before the capture something was.
function age(ms) {
	const end = data.captured || data.latest;
	if (!ms || !end) return "";
	return ms > end ? `${span(ms - end)} after` : span(end - ms);
}

function bytes(n) {
	for (const unit of ["B", "KiB", "MiB", "GiB"]) {
		if (n < 1024 || unit === "GiB") return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
		n /= 1024;
	}
	return "";
}

// The first view: what is wrong, the worst pod first.

const wantedSeverities = new Set(); // none: all
let shownGroups = 20;

// groups are the findings that are shown, by pod, the worst first; those of the node itself are a group like a pod's.
function groups() {
	const by = new Map();
	for (const i of found("finding")) {
		const f = data.findings[i];
		if (wantedSeverities.size && !wantedSeverities.has(f.severity)) continue;
		put(by, f.pod, i);
	}
	const weight = (list) => list.reduce((w, i) => w + (data.findings[i].accepted ? 0 : 10 ** (3 * data.findings[i].severity)), 0);
	return [...by].sort(([a, x], [b, y]) => weight(y) - weight(x) || podName(a).localeCompare(podName(b), "en", {numeric: true}));
}

function viewFindings(into) {
	const all = groups(), counts = severities.map((_, s) => found("finding").filter((i) => data.findings[i].severity === s).length);
	into.append(el("h2", {text: "What is wrong"}), verdict(), wholeness());
	if (data.findings.length === 0) return;
	into.append(el("div", {class: "counters", role: "group", "aria-label": "Show only findings of a severity"},
		...[4, 3, 2, 1, 0].map((s) => el("button", {type: "button", class: `counter sev${s}`, "aria-pressed": wantedSeverities.has(s), disabled: counts[s] === 0, onclick: () => {
			if (!wantedSeverities.delete(s)) wantedSeverities.add(s);
			shownGroups = 20;
			refresh();
			document.querySelector(`.counter.sev${s}`)?.focus();
		}}, el("span", {class: `meter m${s}`, "aria-hidden": "true"}), el("span", {class: "n", text: digits(counts[s])}), el("span", {text: severities[s]})))));
	const list = el("div", {class: "groups"}, ...all.slice(0, shownGroups).map(([pod, items]) => group(pod, items)));
	into.append(list);
	if (all.length === 0) into.append(el("p", {class: "empty", text: "No finding has all of these words."}));
	if (all.length > shownGroups) into.append(el("button", {type: "button", class: "more", text: `Show ${Math.min(50, all.length - shownGroups)} more of ${all.length} groups`, onclick: () => {
		const next = shownGroups;
		shownGroups += 50;
		refresh();
		document.querySelectorAll(".group h3")[next]?.querySelector("a, button")?.focus();
	}}));
	if (data.notChecked.length) into.append(unchecked());
}

// verdict says in a sentence what is worst.
function verdict() {
	const bad = data.findings.filter((f) => f.severity >= 3 && !f.accepted);
	if (data.findings.length === 0) return el("p", {class: "verdict", text: data.judged ? "No rule found anything." : "No rules were run on this report: it says what there was, and not what is wrong."});
	if (bad.length === 0) return el("p", {class: "verdict", text: "Nothing of high or critical severity was found."});
	const pods = new Set(bad.filter((f) => f.pod >= 0).map((f) => f.pod)), node = bad.some((f) => f.pod < 0);
	const where = [...pods].sort(podOrder), first = where[0];
	const p = el("p", {class: "verdict"});
	const rest = [];
	if (first !== undefined) p.append("Look first at ", link(podName(first), "pod", data.pods[first].uid));
	if (where.length > 1) rest.push(count(where.length - 1, "other pod"));
	if (node) rest.push(first === undefined ? "The node itself" : "the node itself");
	if (rest.length) p.append(first === undefined ? rest.join() : `, then at ${rest.join(" and ")}`);
	p.append(`: ${count(bad.length, "finding")} of high or critical severity.`);
	return p;
}

// wholeness says what a reader must know of what is missing.
function wholeness() {
	if (data.whole) return el("p", {class: "whole", text: "The image is whole: nothing that was looked for was lost."});
	return el("p", {class: "whole torn"}, el("strong", {text: "Not whole. "}), `${count(data.totals.gaps, "thing was", "things were")} lost, so that something may be missing here: `,
		el("a", {href: "#losses", text: "what, and why"}), ".");
}

function group(pod, items) {
	const title = pod >= 0 ? link(podName(pod), "pod", data.pods[pod].uid) : el("span", {text: "The node itself"});
	return el("section", {class: "group", "aria-label": pod >= 0 ? podName(pod) : "The node itself"},
		el("h3", {}, title, findingMark(items) || ""), ...items.slice(0, 50).map((i, n) => card(data.findings[i], n < 3 && data.findings[i].severity >= 3)),
		items.length > 50 && el("p", {class: "note", text: `${items.length - 50} more: search for less, or choose a severity.`}));
}

// card shows a finding: what it is, and on demand what it rests on.
function card(f, open) {
	const who = el("p", {class: "subject"});
	if (f.pid) who.append("process ", link(f.comm ? `${f.pid} ${f.comm}` : String(f.pid), "process", f.pid));
	if (f.container >= 0) who.append(f.pid ? " in container " : "container ", link(containerName(f.container), "container", data.containers[f.container].id));
	return el("details", {class: `finding edge${f.severity}`, open: open},
		el("summary", {}, severityMark(f.severity, 1), el("span", {class: "what"}, el("strong", {text: f.title}), f.why && el("span", {class: "why"}, el("bdi", {text: f.why}))),
			el("span", {class: "sure", text: f.confidence}), f.accepted && el("span", {class: "tag", text: "accepted"})),
		el("div", {class: "inside"}, who.childNodes.length > 0 && who, f.meaning && el("p", {text: f.meaning}), evidenceTable(f),
			f.benign?.length > 0 && el("div", {}, el("h4", {text: "What looks the same without harm"}), el("ul", {}, ...f.benign.map((b) => el("li", {text: b})))),
			f.next && el("p", {class: "next"}, el("strong", {text: "Next: "}), value(f.next, "the next question", true)),
			f.accepted && el("p", {}, el("strong", {text: "Accepted: "}), f.accepted),
			el("p", {class: "rule"}, "Rule ", value(f.rule, "the rule"), f.attack?.length > 0 && ` · ATT&CK ${f.attack.join(", ")}`)));
}

function evidenceTable(f) {
	if (!f.evidence?.length) return null;
	return el("div", {class: "scroll", tabindex: 0, role: "group", "aria-label": "Evidence"}, el("table", {}, el("caption", {class: "hidden", text: `Evidence for: ${f.title}`}),
		el("thead", {}, el("tr", {}, ...["Object", "Field", "Value", "Address"].map((h) => el("th", {scope: "col", text: h})))),
		el("tbody", {}, ...f.evidence.map((e) => el("tr", {}, el("th", {scope: "row", class: "code", text: e.object}), el("td", {text: e.field || ""}),
			el("td", {}, value(e.value, e.field || "the value", true)), el("td", {}, e.address && value(e.address, "the address")))))));
}

function unchecked() {
	return el("details", {class: "unchecked"}, el("summary", {text: `${count(data.notChecked.length, "rule")} could not be followed in all`}),
		el("ul", {}, ...data.notChecked.map((n) => el("li", {}, el("strong", {text: n.title || n.rule}), `: ${n.why}`))));
}

// A grid shows rows, of which only those exist that are seen: so it does not matter how many there are. It is an ARIA grid, or a
// tree grid; the focus is on it, and the cell at hand is its active descendant.

const rowHeight = 30;
const most = 3000; // rows on paper

let gridNumber = 0;

class Grid {
	// columns: {title, width (of a CSS grid), from (the least width of the grid at which it is shown), text(row), order(row), fill(cell, row), number, first (direction of the first click)}
	constructor({label, columns, open, tree, toggle, empty}) {
		this.id = `grid${gridNumber++}`;
		this.all = columns;
		this.columns = columns;
		this.open = open;
		this.tree = tree;
		this.toggle = toggle;
		this.rows = [];
		this.row = 0; // at hand; -1 is the head
		this.column = 0;
		this.sortBy = null;
		this.down = false;
		this.pool = [];
		this.head = el("div", {role: "row", class: "head", "aria-rowindex": 1});
		this.body = el("div", {role: "rowgroup", class: "body"});
		this.nothing = el("p", {class: "empty", hidden: true, text: empty || "Nothing here."});
		this.box = el("div", {role: tree ? "treegrid" : "grid", class: "grid", tabindex: 0, "aria-label": label, id: this.id,
			onscroll: () => this.soon(), onkeydown: (e) => this.key(e), onfocus: () => this.mark(), onclick: (e) => this.click(e)},
			el("div", {role: "rowgroup", class: "headgroup"}, this.head), this.body);
		this.element = el("div", {class: "gridbox"}, this.box, this.nothing);
		this.watch = new ResizeObserver(() => this.resize());
		this.watch.observe(this.box);
	}

	// show takes rows, in the order that they come in where no column sorts.
	show(rows, keep) {
		this.given = rows;
		this.rows = this.sorted();
		if (!this.head.childElementCount) { // before the observer has looked
			this.heads();
			this.resize();
		}
		if (!keep) {
			this.box.scrollTop = 0;
			this.row = 0;
		}
		this.row = Math.min(this.row, this.rows.length - 1);
		this.box.setAttribute("aria-rowcount", this.rows.length + 1);
		this.body.style.height = `${this.rows.length * rowHeight}px`;
		this.nothing.hidden = this.rows.length > 0;
		this.paint();
	}

	sorted() {
		const c = this.sortBy;
		if (!c) return this.given;
		const order = c.order || c.text, sign = this.down ? -1 : 1;
		const keyed = this.given.map((row, i) => [order(row), row, i]);
		keyed.sort(([a, , i], [b, , j]) => {
			const x = a === undefined || a === "" || a === 0, y = b === undefined || b === "" || b === 0;
			if (x !== y && !(typeof a === "number" && typeof b === "number")) return x ? 1 : -1; // what has none is last either way
			const d = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
			return d * sign || i - j;
		});
		return keyed.map((k) => k[1]);
	}

	sort(column) {
		if (this.tree) return;
		if (this.sortBy === column) {
			if (this.down === Boolean(column.down)) this.down = !this.down;
			else this.sortBy = null;
		} else {
			this.sortBy = column;
			this.down = Boolean(column.down);
		}
		this.heads();
		this.show(this.given);
		say(this.sortBy ? `Sorted by ${column.title}, ${this.down ? "descending" : "ascending"}` : "Not sorted");
	}

	resize() {
		const width = this.box.clientWidth;
		if (!width) return;
		this.columns = this.all.filter((c) => !c.from || width >= c.from);
		this.column = Math.min(this.column, this.columns.length - 1);
		this.box.style.setProperty("--columns", this.columns.map((c) => c.width).join(" "));
		this.box.setAttribute("aria-colcount", this.columns.length);
		this.heads();
		this.pool.length = 0;
		this.body.replaceChildren();
		this.paint();
	}

	heads() {
		this.head.replaceChildren(...this.columns.map((c, i) => el("div", {
			role: "columnheader", class: c.number ? "cell number" : "cell", id: `${this.id}-h-${i}`, "aria-colindex": i + 1, "data-column": i,
			"aria-sort": this.tree ? null : this.sortBy === c ? (this.down ? "descending" : "ascending") : "none",
		}, el("span", {text: c.title}), this.sortBy === c && el("span", {class: "arrow", "aria-hidden": "true", text: this.down ? "▼" : "▲"}))));
		this.mark();
	}

	soon() {
		if (this.waiting) return;
		this.waiting = requestAnimationFrame(() => {
			this.waiting = 0;
			this.paint();
		});
	}

	// paint makes the rows that are seen, and the one at hand.
	paint() {
		const top = Math.max(0, Math.floor(this.box.scrollTop / rowHeight) - 6);
		const seen = Math.ceil((this.box.clientHeight || 600) / rowHeight) + 12;
		let first = top, last = Math.min(this.rows.length, top + seen);
		if (this.whole) [first, last] = [0, Math.min(this.rows.length, most)];
		const wanted = [];
		for (let i = first; i < last; i++) wanted.push(i);
		if (this.row >= 0 && this.row < this.rows.length && (this.row < first || this.row >= last)) wanted.push(this.row);
		while (this.pool.length < wanted.length) this.pool.push(this.makeRow());
		wanted.forEach((n, k) => this.fill(this.pool[k], n));
		for (let k = wanted.length; k < this.pool.length; k++) this.pool[k].remove();
		this.pool.length = wanted.length;
		this.mark();
	}

	makeRow() {
		const row = el("div", {role: "row", class: "row"}, ...this.columns.map((c, i) => el("div", {
			role: i === 0 ? "rowheader" : "gridcell", class: c.number ? "cell number" : "cell", "aria-colindex": i + 1, "data-column": i})));
		this.body.append(row);
		return row;
	}

	fill(element, n) {
		const row = this.rows[n];
		if (element.parentNode !== this.body) this.body.append(element);
		element.shown = n;
		element.style.transform = `translateY(${n * rowHeight}px)`;
		element.setAttribute("aria-rowindex", n + 2);
		element.classList.toggle("odd", n % 2 === 1);
		if (this.tree) {
			element.setAttribute("aria-level", row.level);
			element.setAttribute("aria-posinset", row.position);
			element.setAttribute("aria-setsize", row.of);
			if (row.branch) element.setAttribute("aria-expanded", row.open);
			else element.removeAttribute("aria-expanded");
		}
		this.columns.forEach((c, i) => {
			const cell = element.children[i];
			cell.id = `${this.id}-${n}-${i}`;
			cell.className = c.number ? "cell number" : "cell";
			if (c.fill) {
				cell.replaceChildren();
				c.fill(cell, row);
			} else {
				cell.textContent = c.text(row);
			}
			cell.title = cell.textContent.length > 24 ? c.text(row) : "";
		});
	}

	// mark shows which cell is at hand.
	mark() {
		for (const e of this.box.querySelectorAll(".at, .cellat")) e.classList.remove("at", "cellat");
		if (this.rows.length === 0) {
			this.box.removeAttribute("aria-activedescendant");
			return;
		}
		const id = this.row < 0 ? `${this.id}-h-${this.column}` : `${this.id}-${this.row}-${this.column}`;
		const cell = document.getElementById(id);
		if (!cell) return;
		cell.classList.add("cellat");
		if (this.row >= 0) cell.parentNode.classList.add("at");
		this.box.setAttribute("aria-activedescendant", id);
	}

	to(row, column) {
		this.row = Math.max(-1, Math.min(this.rows.length - 1, row));
		this.column = Math.max(0, Math.min(this.columns.length - 1, column));
		if (this.row >= 0) {
			const y = this.row * rowHeight, view = this.box.clientHeight - this.head.clientHeight;
			if (y < this.box.scrollTop) this.box.scrollTop = y;
			else if (y + rowHeight > this.box.scrollTop + view) this.box.scrollTop = y + rowHeight - view;
		}
		this.paint();
	}

	click(e) {
		const cell = e.target.closest("[data-column]");
		if (!cell || !this.box.contains(cell)) return;
		const column = Number(cell.dataset.column);
		if (cell.parentNode === this.head) {
			this.sort(this.columns[column]);
			return;
		}
		const row = cell.parentNode.shown;
		if (String(getSelection())) return; // a text was marked
		this.row = row;
		this.column = column;
		this.mark();
		if (this.tree && e.target.closest(".twisty")) this.toggle(this.rows[row]);
		else this.open(this.rows[row], true);
	}

	key(e) {
		const page = Math.max(1, Math.floor(this.box.clientHeight / rowHeight) - 2);
		const row = this.rows[this.row];
		const moves = {
			ArrowDown: [this.row + 1, this.column], ArrowUp: [this.row - 1, this.column],
			ArrowRight: [this.row, this.column + 1], ArrowLeft: [this.row, this.column - 1],
			PageDown: [this.row + page, this.column], PageUp: [Math.max(0, this.row - page), this.column],
			Home: e.ctrlKey ? [0, this.column] : [this.row, 0], End: e.ctrlKey ? [this.rows.length - 1, this.column] : [this.row, this.columns.length - 1],
		};
		if ((e.ctrlKey || e.metaKey) && e.key === "c") {
			if (row && !String(getSelection())) copy(this.columns[this.column].text(row), this.columns[this.column].title);
			return;
		}
		if (e.altKey || e.metaKey || (e.ctrlKey && e.key !== "Home" && e.key !== "End")) return;
		if (this.tree && row && this.column === 0 && (e.key === "ArrowRight" || e.key === "ArrowLeft")) {
			if (row.branch && row.open === (e.key === "ArrowLeft")) {
				e.preventDefault();
				this.toggle(row);
				return;
			}
			if (e.key === "ArrowLeft" && row.level > 1) {
				e.preventDefault();
				let up = this.row;
				while (up > 0 && this.rows[up].level >= row.level) up--;
				this.to(up, 0);
				return;
			}
		}
		if (e.key === "Enter" || e.key === " ") {
			e.preventDefault();
			if (this.row < 0) this.sort(this.columns[this.column]);
			else if (row) this.open(row, false);
			return;
		}
		if (!moves[e.key]) return;
		e.preventDefault();
		this.to(...moves[e.key]);
	}

	// table returns the rows as text that a spreadsheet takes.
	table() {
		const lines = [this.all.map((c) => c.title).join("\t")];
		for (const row of this.rows) {
			lines.push(this.all.map((c) => String(c.text(row)).replace(/[\t\n]/g, " ").replace(/^[=+\-@]/, "'$&")).join("\t"));
		}
		return lines.join("\n");
	}

	print(on) {
		this.whole = on;
		this.resize();
		this.paint();
	}
}

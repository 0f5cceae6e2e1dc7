"use strict";
// The tables are complete without this script; it lets a reader sort and filter them.
(() => {
  const cellValue = (row, column) => {
    const cell = row.cells[column];
    return (cell.dataset.value ?? cell.textContent).trim();
  };

  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const numbers = [Number(a), Number(b)];
    return numbers.some(Number.isNaN) ? a.localeCompare(b, undefined, { numeric: true }) : numbers[0] - numbers[1];
  };

  const sort = (table, column) => {
    const headings = [...table.tHead.rows[0].cells];
    const descending = headings[column].getAttribute("aria-sort") === "ascending";
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const value = (row) => cellValue(row, column);
    const order = (a, b) => {
      const empty = (value(a) === "") - (value(b) === "");
      return empty || (descending ? -1 : 1) * compare(value(a), value(b));
    };
    body.append(...[...body.rows].sort(order));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column));
      heading.append(button);
    });
  }

  for (const input of document.querySelectorAll("input[data-filters]")) {
    const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
    const counter = document.querySelector(`[data-counts="${input.dataset.filters}"]`);
    const filter = () => {
      const wanted = input.value.trim().toLowerCase();
      rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
      const shown = rows.filter((row) => !row.hidden).length;
      counter.textContent = `${shown} of ${rows.length}`;
    };
    input.closest("[hidden]").hidden = false;
    input.addEventListener("input", filter);
    filter();
  }

  // Closed details would be missing on paper; those that fill pages stay off it.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) {
      details.open ||= details.querySelectorAll("tr").length <= 60;
    }
  });
})();

'use strict';
// Sorting and filtering of tables, figures, and the gallery. No dependency but plotly.js, no network.

function key(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.order !== undefined ? cell.dataset.order : cell.textContent.trim();
  if (text === '' || text === '–') return null;
  const number = Number(text);
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

// Missing values stay last in both directions.
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === typeof b && typeof a === 'number') return sign * (a - b);
  return sign * String(a).localeCompare(String(b));
}

function sortTable(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const first = head.classList.contains('num') && head.textContent !== 'rank' ? 'descending' : 'ascending';
  const other = first === 'ascending' ? 'descending' : 'ascending';
  const direction = head.getAttribute('aria-sort') === first ? other : first;
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', direction);
  const sign = direction === 'ascending' ? 1 : -1;
  const rows = [...table.tBodies[0].rows].map((row, place) => [key(row, column), place, row]);
  rows.sort((x, y) => compare(x[0], y[0], sign) || x[1] - y[1]);
  table.tBodies[0].append(...rows.map((item) => item[2]));
}

function filterTable(id) {
  const table = document.getElementById(id);
  const search = document.querySelector(`input[data-filter="${id}"]`);
  const selects = [...document.querySelectorAll(`select[data-choice="${id}"]`)].filter((select) => select.value);
  const words = search ? search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    const chosen = selects.every((select) => (row.dataset[select.dataset.of] || '').split(',').includes(select.value));
    // bounds stay: they are what the others are measured against
    const keep = words.every((word) => text.includes(word)) && (chosen || row.classList.contains('bound'));
    row.hidden = !keep;
    shown += keep;
  }
  const count = document.querySelector(`[data-count="${id}"]`);
  if (count) count.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
}

function setUpTables() {
  for (const table of document.querySelectorAll('table.sortable')) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.tabIndex = 0;
      cell.addEventListener('click', () => sortTable(table, column));
      cell.addEventListener('keydown', (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          sortTable(table, column);
        }
      });
    });
  }
  for (const input of document.querySelectorAll('input[data-filter]')) {
    input.addEventListener('input', () => filterTable(input.dataset.filter));
    filterTable(input.dataset.filter);
  }
  for (const select of document.querySelectorAll('select[data-choice]')) {
    select.addEventListener('change', () => filterTable(select.dataset.choice));
  }
}

function setUpFigures() {
  for (const place of document.querySelectorAll('[data-figure]')) {
    const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    Plotly.newPlot(place, figure.data, figure.layout, {responsive: true, displaylogo: false, displayModeBar: false});
  }
}

function picture(caption, ...sources) {
  const figure = document.createElement('figure');
  const box = document.createElement('div');
  if (sources.length > 1) box.className = 'difference';
  for (const source of sources) {
    const image = document.createElement('img');
    image.src = source;
    image.alt = caption;
    box.append(image);
  }
  const text = document.createElement('figcaption');
  text.textContent = caption;
  figure.append(box, text);
  return figure;
}

function drawGallery(data, place, a, b) {
  const folder = place.dataset.folder;
  const gap = (item) => Math.abs(item.miou[a] - item.miou[b]);
  const samples = [...data.pictures].sort((x, y) => gap(y) - gap(x));
  place.replaceChildren(...samples.map((item) => {
    const url = (name) => `${folder}/${name.split('/').map(encodeURIComponent).join('/')}`;
    const block = document.createElement('div');
    block.className = 'sample';
    const title = document.createElement('h3');
    title.textContent = `${item.sample_id}${item.condition ? ', ' + item.condition : ''}: ${gap(item).toFixed(1)} points apart`;
    const strip = document.createElement('div');
    strip.className = 'strip';
    strip.append(picture('image', url(item.image)), picture('truth', url(item.truth)));
    const shown = [...new Set([data.source, a, b].filter((name) => name !== null))];
    for (const name of shown) {
      strip.append(picture(`${name}: ${item.miou[name].toFixed(1)}`, url(item.predictions[name])));
    }
    strip.append(picture(`${a} errors`, url(item.truth), url(item.predictions[a])));
    strip.append(picture(`${a} against ${b}`, url(item.predictions[a]), url(item.predictions[b])));
    block.append(title, strip);
    return block;
  }));
}

function setUpGallery() {
  const place = document.getElementById('gallery-pictures');
  if (!place) return;
  const data = JSON.parse(document.getElementById('gallery-data').textContent);
  const choices = ['gallery-a', 'gallery-b'].map((id) => document.getElementById(id));
  choices.forEach((select) => {
    select.append(...data.methods.map((name) => new Option(name, name)));
    select.addEventListener('change', () => drawGallery(data, place, choices[0].value, choices[1].value));
  });
  choices[0].value = data.methods[0];
  choices[1].value = data.source !== null && data.source !== data.methods[0] ? data.source : data.methods[data.methods.length - 1];
  drawGallery(data, place, choices[0].value, choices[1].value);
}

setUpTables();
setUpFigures();
setUpGallery();

'use strict';
// Sorting and filtering of tables, addresses of what is shown, colours, figures, and the gallery.
// No dependency but plotly.js, no network.

const all = (selector, place = document) => [...place.querySelectorAll(selector)];

// ---- Addresses: what was chosen stands behind '#part?name=value', so that a link restores it. ----

const state = new URLSearchParams(location.hash.split('?')[1] || '');

function remember(part, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value) state.set(name, value); else state.delete(name);
  }
  const text = state.toString();
  history.replaceState(null, '', text ? `#${part}?${text}` : location.pathname.split('/').pop() + location.search);
}

function goToPart() {
  const [part, values] = location.hash.slice(1).split('?');
  const place = part && document.getElementById(decodeURIComponent(part));
  if (!place || values === undefined) return;
  const count = document.querySelector(`[data-count="${CSS.escape(part)}"]`);
  (count ? count.closest('.filters') : place).scrollIntoView();
}

// ---- Tables ----

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

function sortTable(table, column, wanted) {
  const head = table.tHead.rows[0].cells[column];
  const first = head.classList.contains('num') && head.textContent !== 'rank' ? 'descending' : 'ascending';
  const other = first === 'ascending' ? 'descending' : 'ascending';
  const direction = wanted || (head.getAttribute('aria-sort') === first ? other : first);
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', direction);
  const sign = direction === 'ascending' ? 1 : -1;
  const rows = [...table.tBodies[0].rows].map((row, place) => [key(row, column), place, row]);
  rows.sort((x, y) => compare(x[0], y[0], sign) || x[1] - y[1]);
  table.tBodies[0].append(...rows.map((item) => item[2]));
}

const wordsOf = (row) => [...row.cells]
  .map((cell) => (cell.querySelector('.name') || cell).textContent).join(' ').toLowerCase();

function filterTable(id) {
  const table = document.getElementById(id);
  const search = document.querySelector(`input[data-filter="${id}"]`);
  const selects = all(`select[data-choice="${id}"]`).filter((select) => select.value);
  const words = search ? search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
  const gone = new Set();
  const names = new Set();
  let shown = 0;
  let bounds = 0;
  for (const row of table.tBodies[0].rows) {
    const text = wordsOf(row);
    const chosen = selects.every((select) => (row.dataset[select.dataset.of] || '').split(',').includes(select.value));
    // bounds stay: they are what the others are measured against
    const bound = row.classList.contains('bound');
    row.hidden = !bound && !(chosen && words.every((word) => text.includes(word)));
    if (row.hidden) gone.add(row.dataset.key);
    const name = row.querySelector('.name');
    if (row.hidden && name) names.add(name.textContent);
    if (bound) bounds += 1; else shown += !row.hidden;
  }
  for (const row of all('.heat tr[data-key]')) row.hidden = gone.has(row.dataset.key);
  hideInFigures(names);
  const count = document.querySelector(`[data-count="${id}"]`);
  const rows = table.tBodies[0].rows.length;
  const named = `methods, ${bounds} ${bounds === 1 ? 'bound' : 'bounds'}`;
  if (count) count.textContent = rows === bounds ? '' : `${shown} of ${rows - bounds} ${bounds ? named : 'rows'}`;
}

// The head sticks to the page where the table fits, to the table's own box where it scrolls.
function fit(box) {
  const table = box.querySelector('table');
  if (!box.clientWidth) return;
  box.classList.remove('fits');
  const fits = table.scrollWidth <= box.clientWidth + 1;
  box.classList.toggle('fits', fits);
  box.classList.toggle('more', !fits && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
}

function setUpTables() {
  for (const table of all('table.sortable')) {
    const name = (column) => table.tHead.rows[0].cells[column].textContent;
    const sort = (column) => {
      sortTable(table, column);
      const direction = table.tHead.rows[0].cells[column].getAttribute('aria-sort');
      remember(table.id, {[`sort.${table.id}`]: `${name(column)}.${direction}`});
    };
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.tabIndex = 0;
      cell.addEventListener('click', () => sort(column));
      cell.addEventListener('keydown', (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          sort(column);
        }
      });
    });
  }
  const filtered = (id) => (event) => {
    filterTable(id);
    const control = event.target;
    remember(id, {[control.dataset.of || 'filter']: control.value.trim()});
  };
  for (const input of all('input[data-filter]')) input.addEventListener('input', filtered(input.dataset.filter));
  for (const select of all('select[data-choice]')) select.addEventListener('change', filtered(select.dataset.choice));
  for (const button of all('[data-copy]')) {
    button.addEventListener('click', async () => {
      remember(button.dataset.copy, {});
      try {
        await navigator.clipboard.writeText(location.href);
        button.textContent = 'Copied';
      } catch {
        prompt('Address of this view', location.href);
      }
      setTimeout(() => { button.textContent = 'Copy link'; }, 1500);
    });
  }
  for (const box of all('.scroll')) {
    box.addEventListener('scroll', () => {
      box.classList.toggle('more', !box.classList.contains('fits') && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    }, {passive: true});
    fit(box);
  }
  addEventListener('resize', () => all('.scroll').forEach(fit));
}

function restore() {
  for (const input of all('input[data-filter]')) input.value = state.get('filter') || '';
  for (const select of all('select[data-choice]')) {
    const wanted = state.get(select.dataset.of) || '';
    select.value = [...select.options].some((option) => option.value === wanted) ? wanted : '';
  }
  for (const table of all('table.sortable')) {
    const [name, direction] = (state.get(`sort.${table.id}`) || '').split(/\.(?=[a-z]+$)/);
    const column = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === name);
    if (column >= 0) sortTable(table, column, direction === 'ascending' ? direction : 'descending');
  }
  for (const input of all('input[data-filter]')) filterTable(input.dataset.filter);
}

// A rank, pressed, marks the rows that share a letter of ties with it; pressed again, none.
function markTies(row) {
  const table = row.closest('table');
  const rows = [...table.tBodies[0].rows];
  const again = row.classList.contains('chosen');
  const letters = row.dataset.ties.split(' ');
  for (const other of rows) {
    other.classList.remove('chosen', 'tied', 'apart');
    if (again || other.classList.contains('bound')) continue;
    const tied = (other.dataset.ties || '').split(' ').some((letter) => letter && letters.includes(letter));
    other.classList.add(other === row ? 'chosen' : tied ? 'tied' : 'apart');
  }
}

// ---- Colours and navigation ----

const dark = () => (document.documentElement.dataset.theme
  || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';

function setUpHeader() {
  const nav = document.getElementById('nav');
  const menu = document.getElementById('menu');
  menu.addEventListener('click', () => {
    menu.setAttribute('aria-expanded', nav.classList.toggle('open'));
  });
  const groups = all('.group', nav);
  document.addEventListener('click', (event) => {
    for (const group of groups) if (!group.contains(event.target)) group.open = false;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') for (const group of groups) group.open = false;
  });
  document.getElementById('theme').addEventListener('click', () => {
    const theme = dark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem('sfda_bench.theme', theme); } catch { /* the choice holds for this page */ }
    drawFigures();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawFigures);
}

// ---- Figures ----

let hidden = new Set();

// Methods that a filter hides are not drawn either.
function hideInFigures(names) {
  const same = names.size === hidden.size && [...names].every((name) => hidden.has(name));
  hidden = names;
  if (!same) drawSoon();
}

function drawSoon() {
  clearTimeout(drawSoon.timer);
  drawSoon.timer = setTimeout(drawFigures, 200);
}

function coloured(figure, width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = (given) => ({...given, gridcolor: colour('--line'), linecolor: colour('--line'), automargin: true});
  const wide = width >= 760;
  const data = figure.data.filter((trace) => !hidden.has(trace.name)).map((trace) => {
    const copy = {...trace};
    for (const part of ['marker', 'line']) {
      // black, the one colour that is not seen on dark
      if (copy[part] && copy[part].color === '#000000') copy[part] = {...copy[part], color: colour('--ink')};
    }
    return copy;
  });
  const layout = {
    ...figure.layout,
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: {color: colour('--ink'), size: 12},
    legend: {orientation: 'v', x: 1.01, y: 1, font: {size: 11}},
    showlegend: wide,
    xaxis: axis(figure.layout.xaxis),
    yaxis: axis(figure.layout.yaxis),
    height: wide ? Math.max(440, 19 * figure.data.length + 100) : 340,
  };
  return [data, layout];
}

const SIGNS = {circle: '●', square: '■', diamond: '◆', 'triangle-up': '▲', cross: '✚', x: '✖', star: '★'};

// Beside a figure there is room for names only on a wide page; on a narrow one they stand below.
function namesBelow(data) {
  const list = document.createElement('ul');
  list.className = 'legend';
  for (const trace of data) {
    const item = document.createElement('li');
    const sign = document.createElement('b');
    sign.textContent = trace.marker ? SIGNS[trace.marker.symbol] || '●' : '┄';
    sign.style.color = ((trace.marker && trace.marker.color) ? trace.marker : trace.line || {}).color;
    item.append(sign, ` ${trace.name}`);
    list.append(item);
  }
  return list;
}

function drawFigures() {
  for (const place of all('[data-figure]')) {
    const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    const [data, layout] = coloured(figure, place.clientWidth);
    place.style.height = `${layout.height}px`;
    for (const old of all('.legend', place.parentElement)) old.remove();
    if (!layout.showlegend) place.after(namesBelow(data));
    Plotly.react(place, data, layout, {responsive: true, displaylogo: false, displayModeBar: false});
  }
}

// ---- Gallery ----

function picture(caption, ...sources) {
  const figure = document.createElement('figure');
  const button = document.createElement('button');
  button.type = 'button';
  button.title = 'Enlarge';
  const box = document.createElement('div');
  box.className = sources.length > 1 ? 'box difference' : 'box';
  for (const source of sources) {
    const image = document.createElement('img');
    image.src = source;
    image.alt = caption;
    box.append(image);
  }
  button.append(box);
  button.addEventListener('click', () => enlarge(button));
  const text = document.createElement('figcaption');
  text.textContent = caption;
  figure.append(button, text);
  return figure;
}

let enlarged = null;

function enlarge(button) {
  const viewer = document.getElementById('viewer');
  const box = button.firstElementChild.cloneNode(true);
  const image = box.querySelector('img');
  box.style.setProperty('--shape', image.naturalWidth / image.naturalHeight || 2);
  viewer.querySelector('figure').replaceChildren(box);
  const title = button.closest('.sample').querySelector('h3').textContent.split(':')[0];
  viewer.querySelector('span').textContent = `${title}: ${button.parentElement.querySelector('figcaption').textContent}`;
  enlarged = button;
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const buttons = all('#gallery-pictures .strip button');
  enlarge(buttons[(buttons.indexOf(enlarged) + by + buttons.length) % buttons.length]);
}

function setUpViewer() {
  const viewer = document.getElementById('viewer');
  for (const button of all('[data-step]', viewer)) {
    const by = Number(button.dataset.step);
    button.addEventListener('click', () => (by ? step(by) : viewer.close()));
  }
  viewer.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === 'ArrowRight') step(1);
  });
  viewer.addEventListener('click', (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener('close', () => { if (enlarged && enlarged.isConnected) enlarged.focus(); });
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
    strip.append(picture(`errors of ${a}`, url(item.truth), url(item.predictions[a])));
    strip.append(picture(`${a} against ${b}`, url(item.predictions[a]), url(item.predictions[b])));
    block.append(title, strip);
    return block;
  }));
}

function setUpGallery() {
  const place = document.getElementById('gallery-pictures');
  if (!place) return;
  const data = JSON.parse(document.getElementById('gallery-data').textContent);
  const choices = ['a', 'b'].map((name) => document.getElementById(`gallery-${name}`));
  const draw = () => drawGallery(data, place, choices[0].value, choices[1].value);
  const usual = [data.methods[0], data.source !== null && data.source !== data.methods[0] ? data.source : data.methods[data.methods.length - 1]];
  choices.forEach((select, place) => {
    select.append(...data.methods.map((name) => new Option(name, name)));
    const wanted = state.get('ab'[place]);
    select.value = data.methods.includes(wanted) ? wanted : usual[place];
    select.addEventListener('change', () => {
      remember('gallery', {['ab'[place]]: select.value});
      draw();
    });
  });
  draw();
  setUpViewer();
}

// A link to the BibTeX entry of a method opens it.
function openTarget() {
  const place = document.getElementById(location.hash.slice(1));
  if (place && place.tagName === 'DETAILS') place.open = true;
}

setUpTables();
restore();
for (const button of all('button.rank')) button.addEventListener('click', () => markTies(button.closest('tr')));
setUpHeader();
drawFigures();
setUpGallery();
goToPart();
openTarget();
addEventListener('hashchange', () => { if (location.hash.includes('?')) location.reload(); else openTarget(); });
addEventListener('resize', drawSoon);

'use strict';
{
  const data = name => JSON.parse(document.getElementById(name).textContent);
  const classes = data('classes-data'), names = data('names-data');
  const examples = data('examples-data'), confusion = data('confusion-data');
  const UNITS = 4, SVG = 'http://www.w3.org/2000/svg';

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }
  function draw(tag, attributes, parent, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }
  const of = label => label < classes.length ? classes[label] : 'background';

  // A picture with its masks. `layers` gives the truth and the detections a group of their own.
  let clips = 0;
  function picture(example, whole) {
    const width = example.w * UNITS, height = example.h * UNITS;
    const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, class: 'picture', role: 'img',
      'aria-label': names[example.p] });
    draw('rect', { width, height, class: 'plain-ground' }, svg);
    if (example.s) draw('image', { href: example.s, width, height, preserveAspectRatio: 'none' }, svg);
    const groups = [draw('g', {}, svg), draw('g', {}, svg)];
    for (const [path, label, , good] of example.t) {
      draw('title', {}, draw('path', { d: path, class: 't ' + (good ? 'yes' : 'no') }, groups[0]), of(label));
    }
    for (const [path, label, score, good] of example.d) {
      draw('title', {}, draw('path', { d: path, class: 'd' + (whole && good ? ' yes' : '') }, groups[1]),
        `${of(label)} ${score.toFixed(2)}`);
    }
    if (!whole) return { svg };
    const id = `clip-${++clips}`;
    const cut = groups.map((group, i) => {
      const rect = draw('rect', { height, y: 0 }, draw('clipPath', { id: `${id}-${i}` }, svg));
      group.setAttribute('clip-path', `url(#${id}-${i})`);
      return rect;
    });
    const divider = draw('path', { class: 'divider' }, svg);
    const split = part => {
      const x = width * part / 100;
      cut[0].setAttribute('x', 0); cut[0].setAttribute('width', x);
      cut[1].setAttribute('x', x); cut[1].setAttribute('width', width - x);
      divider.setAttribute('d', `M${x} 0V${height}`);
    };
    split(50);
    return { svg, split };
  }

  function cut(number) {
    const example = examples[number];
    const truth = example.t[0], found = example.d[0];
    const parts = [];
    if (found) parts.push(`${of(found[1])} ${found[2].toFixed(2)}`);
    if (truth && (!found || truth[1] !== found[1])) parts.push(`is ${of(truth[1])}`);
    const caption = make('figcaption', {}, make('span', {}, parts.join(' · ')), make('br'));
    caption.append(make('span', { class: 'soft mono' }, names[example.p]));
    return make('figure', { class: 'cut' }, picture(example, false).svg, caption);
  }

  for (const place of document.querySelectorAll('[data-examples]')) {
    place.append(...place.dataset.examples.split(' ').map(cut));
  }

  // the worst pictures, with their sliders
  const sliders = [];
  for (const figure of document.querySelectorAll('.whole')) {
    const { svg, split } = picture(examples[figure.dataset.example], true);
    figure.querySelector('.place').append(svg);
    const slider = figure.querySelector('input');
    slider.addEventListener('input', () => split(Number(slider.value)));
    sliders.push([slider, split]);
  }
  const positions = { 'only-truth': 100, half: 50, 'only-found': 0 };
  for (const [id, position] of Object.entries(positions)) {
    const button = document.getElementById(id);
    if (!button) continue;
    button.addEventListener('click', () => {
      for (const other of Object.keys(positions)) document.getElementById(other).removeAttribute('aria-pressed');
      button.setAttribute('aria-pressed', 'true');
      for (const [slider, split] of sliders) { slider.value = position; split(position); }
    });
  }

  // classes by name
  const filter = document.getElementById('class-filter');
  if (filter) {
    filter.addEventListener('input', () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of document.getElementById('class-table').tBodies[0].rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      }
    });
  }

  for (const box of document.querySelectorAll('.only-real')) {
    box.addEventListener('change', () => {
      for (const row of box.closest('.card').querySelectorAll('tbody tr')) {
        row.hidden = box.checked && !row.classList.contains('real');
      }
    });
  }

  // the confusion matrix
  if (confusion) {
    const size = confusion.classes.length, cells = confusion.cells;
    const totals = new Array(size).fill(0);
    for (const [row, , count] of cells) totals[row] += count;
    const side = Math.max(11, Math.min(46, Math.floor(760 / size)));
    const named = size <= 42, numbered = size <= 16;
    const longest = Math.max(...confusion.classes.map(name => name.length));
    const edge = named ? Math.min(150, 14 + 6.4 * Math.min(longest, 20)) : 14;
    const short = name => name.length > 20 ? name.slice(0, 18) + '…' : name;
    const svg = draw('svg', { width: edge + size * side + (named ? edge * 0.62 : 8), height: edge + size * side + 8,
      role: 'group', 'aria-label': 'Confusion matrix' }, document.getElementById('matrix'));
    draw('rect', { x: edge, y: edge, width: size * side, height: size * side, class: 'empty' }, svg);
    if (named) {
      confusion.classes.forEach((name, i) => {
        const middle = edge + (i + 0.5) * side;
        draw('text', { x: edge - 6, y: middle + 4, class: 'rows' }, svg, short(name));
        draw('text', { x: middle, y: edge - 6, transform: `rotate(-55 ${middle} ${edge - 6})` }, svg, short(name));
      });
    }
    const of = i => confusion.classes[i];
    const open = ([row, column, count, numbers, pictures]) => {
      const words = row === size - 1 ? `${of(column)} where nothing is annotated`
        : column === size - 1 ? `${of(row)}, not found`
          : row === column ? `${of(row)}, right` : `${of(row)}, taken for ${of(column)}`;
      document.getElementById('cell-title').textContent = `${words}: ${count}`;
      const place = document.getElementById('cell-pictures');
      place.replaceChildren();
      if (numbers.length) place.append(make('div', { class: 'gallery cuts' }, ...numbers.map(cut)));
      const list = make('ul', { class: 'names mono' });
      list.append(...pictures.map(p => make('li', {}, names[p])));
      place.append(list);
      const card = document.getElementById('cell');
      card.focus({ preventScroll: true });
      card.scrollIntoView({ block: 'nearest' });
    };
    for (const entry of cells) {
      const [row, column, count] = entry, part = count / Math.max(totals[row], 1);
      const x = edge + column * side, y = edge + row * side;
      const cell = draw('g', { class: 'cell', tabindex: numbered ? 0 : -1, role: 'button',
        'aria-label': `${of(row)} as ${of(column)}: ${count}` }, svg);
      const strength = (0.12 + 0.88 * Math.sqrt(part)).toFixed(3);
      draw('rect', { x: x + 0.5, y: y + 0.5, width: side - 1, height: side - 1, rx: Math.min(3, side / 6),
        fill: row === column ? 'var(--c0)' : 'var(--c1)', 'fill-opacity': strength }, cell);
      draw('title', {}, cell, `${of(row)} as ${of(column)}: ${count} of ${totals[row]}`);
      if (numbered) {
        draw('text', { x: x + side / 2, y: y + side / 2 + 4, class: 'count' + (part > 0.4 ? ' on' : '') }, cell,
          count > 9999 ? `${Math.round(count / 1000)}k` : count);
      }
      cell.addEventListener('click', () => open(entry));
      cell.addEventListener('keydown', event => {
        if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); open(entry); }
      });
    }

    const chooser = document.getElementById('confusion-class'), background = document.getElementById('with-background');
    confusion.classes.slice(0, -1).forEach((name, i) => chooser.append(make('option', { value: i }, name)));
    const list = () => {
      const wanted = chooser.value === '' ? null : Number(chooser.value);
      const rows = cells.filter(([row, column]) => row !== column
        && (background.checked || (row < size - 1 && column < size - 1))
        && (wanted === null || row === wanted || column === wanted))
        .sort((a, b) => b[2] - a[2]).slice(0, 50);
      document.querySelector('#confusions tbody').replaceChildren(...rows.map(entry => {
        const [row, column, count] = entry;
        const button = make('button', { type: 'button', class: 'plain' }, 'Pictures');
        button.addEventListener('click', () => open(entry));
        return make('tr', {}, make('td', {}, of(row)), make('td', {}, of(column)),
          make('td', { class: 'n' }, String(count)),
          make('td', { class: 'n' }, row === size - 1 ? '–' : (count / totals[row]).toFixed(2)),
          make('td', {}, button));
      }), ...(rows.length ? [] : [make('tr', { class: 'none' }, make('td', { colspan: 5 }, 'none'))]));
    };
    chooser.addEventListener('change', list);
    background.addEventListener('change', list);
    list();
  }
}

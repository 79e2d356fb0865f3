'use strict';
// Tabs and tables that sort, for every page. Without scripts all panels are shown.
document.documentElement.classList.add('js');

const pages = {
  // Show the panel of a tab; the address keeps its name, so that a link can lead there.
  show(tab, remember) {
    for (const other of tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')) {
      const chosen = other === tab;
      other.setAttribute('aria-selected', String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute('aria-controls')).hidden = !chosen;
    }
    if (remember) history.replaceState(null, '', '#' + tab.getAttribute('aria-controls'));
  },

  // What an address or a link points to, with the panel that it is in.
  go(id) {
    const target = id && document.getElementById(id);
    const panel = target && target.closest('[role="tabpanel"]');
    const tab = panel && document.querySelector(`[role="tab"][aria-controls="${panel.id}"]`);
    if (tab) pages.show(tab, false);
    if (target && target !== panel) target.scrollIntoView();
    return Boolean(target);
  },

  sort(button) {
    const heading = button.closest('th'), table = heading.closest('table');
    const column = [...heading.parentNode.children].indexOf(heading);
    const down = heading.getAttribute('aria-sort') !== 'descending';
    for (const other of heading.parentNode.children) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const body = table.tBodies[0];
    const keyed = [...body.rows].map(row => {
      const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
      const value = Number(text);
      return { row, text, value: text !== '' && Number.isFinite(value) ? value : null };
    });
    keyed.sort((a, b) => {
      // what is no number comes last, whichever way numbers go
      if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1;
      const order = a.value === null ? -a.text.localeCompare(b.text) : a.value - b.value;
      return down ? -order : order;
    });
    body.append(...keyed.map(entry => entry.row));
  },
};

for (const list of document.querySelectorAll('[role="tablist"]')) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  tabs.forEach((tab, index) => {
    tab.addEventListener('click', () => pages.show(tab, true));
    tab.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      pages.show(next, true);
      next.focus();
    });
  });
  if (tabs.length) pages.show(tabs.find(t => t.getAttribute('aria-selected') === 'true') || tabs[0], false);
}
for (const button of document.querySelectorAll('table.sorts th > button')) {
  button.addEventListener('click', () => pages.sort(button));
}
document.addEventListener('click', event => {
  const link = event.target.closest('a[href^="#"]');
  if (link && pages.go(decodeURIComponent(link.hash.slice(1)))) {
    event.preventDefault();
    history.replaceState(null, '', link.hash);
  }
});
window.addEventListener('hashchange', () => pages.go(decodeURIComponent(location.hash.slice(1))));
pages.go(decodeURIComponent(location.hash.slice(1)));

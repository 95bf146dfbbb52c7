'use strict';
(() => {
  const { images, directions, rows } = JSON.parse(document.querySelector('#values').textContent);
  const methods = Object.keys(rows);
  const metrics = Object.keys(directions);

  // Every head of a table sorts by its column, the better end first; a second click turns it.
  function sort(table, column, head) {
    const better = Number(head.dataset.direction) < 0 ? 'ascending' : 'descending';
    const names = column === 0;
    const first = names ? 'ascending' : better;
    const turned = { ascending: 'descending', descending: 'ascending' };
    const now = head.getAttribute('aria-sort');
    const next = now ? turned[now] : first;
    const sign = next === 'ascending' ? 1 : -1;
    const key = (row) => {
      const cell = row.cells[column];
      if (names) return cell.textContent;
      return cell.dataset.value === '' ? NaN : Number(cell.dataset.value);
    };
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (names) return sign * x.localeCompare(y, 'en', { numeric: true });
      // rows without a value stay at the end
      return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y);
    };
    for (const other of head.parentElement.cells) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', next);
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }

  function makeSortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      button.addEventListener('click', () => sort(table, column, head));
      head.append(button);
    });
  }

  function fill(table, heads, lines, opens) {
    table.replaceChildren();
    const top = table.createTHead().insertRow();
    for (const { text, direction } of heads) {
      const head = document.createElement('th');
      head.scope = 'col';
      head.textContent = text;
      head.dataset.direction = direction || 1;
      top.append(head);
    }
    const body = table.createTBody();
    for (const { name, cells } of lines) {
      const line = body.insertRow();
      const head = document.createElement('th');
      head.scope = 'row';
      if (opens) {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = name;
        button.addEventListener('click', () => opens(name));
        head.append(button);
      } else {
        head.textContent = name;
      }
      line.append(head);
      for (const { value, best } of cells) {
        const cell = line.insertCell();
        cell.dataset.value = value ?? '';
        cell.textContent = value === null ? '\u2013' : value.toPrecision(4);
        cell.classList.toggle('best', best);
      }
    }
    makeSortable(table);
  }

  function withBest(values, direction) {
    const known = values.filter((value) => value !== null);
    const best = direction < 0 ? Math.min(...known) : Math.max(...known);
    return values.map((value) => ({ value, best: direction !== 0 && value === best }));
  }

  const metricChoice = document.querySelector('#metric');
  const filter = document.querySelector('#filter');

  function showScenes() {
    const metric = metricChoice.value;
    const direction = directions[metric];
    const wanted = filter.value.toLowerCase();
    const lines = images
      .map((name, index) => ({
        name,
        cells: withBest(methods.map((method) => rows[method][metric][index]), direction),
      }))
      .filter(({ name }) => name.toLowerCase().includes(wanted));
    const heads = methods.map((text) => ({ text, direction }));
    fill(document.querySelector('#by-scene'), [{ text: 'scene' }, ...heads], lines, openScene);
  }

  function openScene(name) {
    const index = images.indexOf(name);
    document.querySelector('#scene-name').textContent = name;
    const columns = metrics.map((metric) =>
      withBest(methods.map((method) => rows[method][metric][index]), directions[metric]),
    );
    const lines = methods.map((method, place) => ({
      name: method,
      cells: columns.map((column) => column[place]),
    }));
    const heads = metrics.map((text) => ({ text, direction: directions[text] }));
    fill(document.querySelector('#one-scene'), [{ text: 'method' }, ...heads], lines, null);
    const picture = [...document.querySelectorAll('.stack')].find(
      (stack) => stack.dataset.name === name,
    );
    (picture ?? document.querySelector('#scene-name')).scrollIntoView({ block: 'center' });
  }

  makeSortable(document.querySelector('#table table'));
  for (const metric of metrics) metricChoice.add(new Option(metric, metric));
  if (metrics.includes('VIF')) metricChoice.value = 'VIF';
  metricChoice.addEventListener('change', showScenes);
  filter.addEventListener('input', showScenes);
  document.querySelector('#drill').hidden = false;
  showScenes();
})();

'use strict';
(() => {
  const stacks = [...document.querySelectorAll('.stack')];
  const chosen = (side) => Number(document.querySelector(`input[name="${side}"]:checked`).value);

  function show(stack) {
    const [left, right] = [chosen('left'), chosen('right')];
    const layers = [...stack.querySelectorAll('img')];
    const slider = stack.querySelector('input');
    layers.forEach((layer, index) => {
      layer.hidden = index !== left && index !== right;
      layer.classList.toggle('left', index === left && index !== right);
    });
    stack.style.setProperty('--split', `${slider.value}%`);
    stack.querySelector('.tag.left').textContent = layers[left].dataset.layer;
    stack.querySelector('.tag.right').textContent = layers[right].dataset.layer;
    slider.setAttribute(
      'aria-valuetext',
      `${slider.value} % ${layers[left].dataset.layer}, then ${layers[right].dataset.layer}`,
    );
  }

  document.documentElement.classList.add('js');
  for (const stack of stacks) {
    stack.addEventListener('input', () => show(stack));
    show(stack);
  }
  document.querySelector('.toolbar')?.addEventListener('change', () => stacks.forEach(show));
})();

"""What runs in the page to time the frame browser: nothing between a key and the picture is left out."""

# Presses keys one after the other, and waits for each picture to be drawn: milliseconds for each.
STEPS = """async ([keys, pause]) => {
  const root = document.querySelector('.pvio-browser'), times = [];
  const wait = ms => new Promise(done => setTimeout(done, ms));
  for (const key of keys) {
    const before = root.dataset.shown, begin = performance.now();
    root.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    while (root.dataset.shown === before) {
      if (performance.now() - begin > 10000) throw new Error('no picture');
      await wait(0);
    }
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - begin);
    await wait(pause);
  }
  return times;
}"""

# Sets the frame field to these numbers, one after the other, and waits for each picture to be drawn.
JUMPS = """async numbers => {
  const root = document.querySelector('.pvio-browser'), times = [];
  const field = root.querySelector('.pvio-number'), wait = ms => new Promise(done => setTimeout(done, ms));
  for (const number of numbers) {
    const begin = performance.now();
    field.value = number;
    field.dispatchEvent(new Event('change', { bubbles: true }));
    while (Number(root.dataset.shown) !== number) await wait(0);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - begin);
    await wait(400);
  }
  return times;
}"""

_WATCH = """
  const root = document.querySelector('.pvio-browser'), seen = [];
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const note = () => {
    const number = Number(root.dataset.shown);
    if (seen.at(-1)?.[1] !== number) seen.push([performance.now(), number]);
  };
  const watch = new MutationObserver(note);
  watch.observe(root, { attributes: true, attributeFilter: ['data-shown'] });
  const begin = performance.now();
"""

# Moves the slider to these frames, one every so many milliseconds.
DRAG = f"""async ([numbers, pause]) => {{
  {_WATCH}
  const slider = root.querySelector('.pvio-slider');
  for (const number of numbers) {{
    slider.value = number;
    slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
    await wait(pause);
  }}
  const end = performance.now();
  while (Number(root.dataset.shown) !== numbers.at(-1) && performance.now() - end < 10000) await wait(0);
  const late = performance.now() - end;
  await wait(700);
  const pictures = new Set(seen.filter(([time]) => time <= end).map(([, number]) => number)).size;
  return {{ rate: 1000 * pictures / (end - begin), late, last: Number(root.dataset.shown) }};
}}"""

# Holds a key down: 30 presses a second; what is shown after the release is late.
HOLD = f"""async ([key, seconds]) => {{
  {_WATCH}
  for (let number = 0; number < 30 * seconds; number++) {{
    root.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }}));
    await wait(Math.max(0, begin + (number + 1) * 1000 / 30 - performance.now()));
  }}
  const end = performance.now();
  await wait(1000);
  const late = Math.max(0, ...seen.map(([time]) => time - end));
  return {{ rate: 1000 * seen.filter(([time]) => time <= end).length / (end - begin), late }};
}}"""

# Plays for some seconds: when which frame was shown.
PLAY = f"""async seconds => {{
  {_WATCH}
  root.querySelector('[data-do=play]').click();
  await wait(1000 * seconds);
  root.querySelector('[data-do=play]').click();
  return seen;
}}"""

# The picture as it is on the screen.
PICTURE = """pane => document.querySelectorAll('.pvio-picture')[pane].toDataURL('image/png')"""

"""Scripts that time the frame browser in the page, from the key press to the drawn picture."""

# Runs `act` and notes how many milliseconds it takes until another picture is drawn.
_TIME = """
  const root = document.querySelector('.pvio-browser'), times = [];
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const time = async act => {
    const before = root.dataset.shown, begin = performance.now();
    await new Promise((done, fail) => {
      const late = setTimeout(() => fail(new Error('no picture')), 10000);
      const watch = new MutationObserver(() => {
        if (root.dataset.shown === before) return;
        watch.disconnect();
        clearTimeout(late);
        requestAnimationFrame(done);
      });
      watch.observe(root, { attributes: true, attributeFilter: ['data-shown'] });
      act();
    });
    times.push(performance.now() - begin);
  };
"""

# Presses keys one after another, with pauses of `pause` to twice as many ms, and returns how long each took.
STEPS = f"""async ([keys, pause]) => {{
  {_TIME}
  for (const key of keys) {{
    const press = new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }});
    await time(() => root.dispatchEvent(press));
    await wait(pause * (1 + Math.random()));  // otherwise all would end at the same point between two redraws
  }}
  return times;
}}"""

# Sets the frame field to these numbers, one after another, and returns how long each took.
JUMPS = f"""async numbers => {{
  {_TIME}
  const field = root.querySelector('.pvio-number');
  for (const number of numbers) {{
    await time(() => {{
      field.value = number;
      field.dispatchEvent(new Event('change', {{ bubbles: true }}));
    }});
    await wait(300 * (1 + Math.random()));
  }}
  return times;
}}"""

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

# Moves the slider to these frames, one every `pause` milliseconds.
DRAG = f"""async ([numbers, pause]) => {{
  {_WATCH}
  const slider = root.querySelector('.pvio-slider');
  let end;
  for (const number of numbers) {{
    if (end) await wait(pause);
    slider.value = number;
    slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
    end = performance.now();
  }}
  while (Number(root.dataset.shown) !== numbers.at(-1) && performance.now() - end < 10000) await wait(0);
  const late = performance.now() - end;
  await wait(700);
  const pictures = new Set(seen.filter(([time]) => time <= end).map(([, number]) => number)).size;
  return {{ rate: 1000 * pictures / (end - begin), late, last: Number(root.dataset.shown) }};
}}"""

# Holds a key down, at 30 presses a second; pictures shown after the release are late.
HOLD = f"""async ([key, seconds]) => {{
  {_WATCH}
  let end = begin;
  for (let number = 0; number < 30 * seconds; number++) {{
    await wait(Math.max(0, begin + number * 1000 / 30 - performance.now()));
    root.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }}));
    end = performance.now();
  }}
  await wait(1000);
  const late = Math.max(0, ...seen.map(([time]) => time - end));
  return {{ rate: 1000 * seen.filter(([time]) => time <= end).length / (end - begin), late }};
}}"""

# Plays for some seconds and returns the frames shown, with their times.
PLAY = f"""async seconds => {{
  {_WATCH}
  root.querySelector('[data-do=play]').click();
  await wait(1000 * seconds);
  root.querySelector('[data-do=play]').click();
  return seen;
}}"""

# The picture as it is on the screen.
PICTURE = """pane => document.querySelectorAll('.pvio-picture')[pane].toDataURL('image/png')"""

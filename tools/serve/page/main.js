// The page: reads what is asked for, shows what comes.

import { ApiError, draw, keepKey, loadModel } from './api.js';
import { Editor } from './editor.js';
import { Gallery, blobOf } from './gallery.js';
import { addRun, allRuns, removeAll, removeRun } from './history.js';
import { Viewer } from './viewer.js';

const byId = (id) => document.getElementById(id);
const examples = ['a red circle above a blue square', 'a desert at night', 'a meadow at sunset', 'a green triangle'];
const texts = ['negative'], numbers = ['temperature', 'guidance', 'top_k', 'top_p'];
let model, running = null, run = null;

const gallery = new Gallery(byId('gallery'), (at) => viewer.open(gallery.pictures, at, run));
const editor = new Editor({
  section: byId('given'), canvas: byId('canvas'), brush: byId('brush'), erase: byId('erase'),
  bottom: byId('mark-bottom'), right: byId('mark-right'), none: byId('mark-none'), remove: byId('given-remove'),
}, showPlan);
const viewer = new Viewer(byId('viewer'), {
  vary: async (picture, of) => {
    await editor.take(picture.blob);
    byId('prompt').value = of.prompt;
    start();
  },
  edit: async (picture, of) => {
    await editor.take(picture.blob);
    byId('prompt').value = of.prompt;
    fitPrompt();
    byId('canvas').scrollIntoView({ block: 'center' });
    byId('canvas').focus();
  },
  useSeed: (picture, of) => {
    byId('prompt').value = of.prompt;
    byId('seed').value = picture.seed;
    byId('more').open = true;
    fitPrompt();
    byId('seed').focus();
  },
});

// Settings

/** What the slider of candidates stands for: powers of two, as far as the server allows. */
const candidates = () => Math.min(model.limits.candidates, 2 ** Number(byId('candidates').value));
const keep = () => Math.min(Number(byId('keep').value), candidates());

function durationText(seconds) {
  if (seconds < 1.5) return 'about a second';
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  return `about ${Math.round(seconds / 60)} minutes`;
}

function showPlan() {
  if (!model) return;
  byId('candidates-out').value = candidates();
  byId('keep-out').value = keep();
  const guided = (value) => (value === 1 ? 1 : 2);
  const share = guided(Number(byId('guidance').value || model.defaults.guidance)) / guided(model.defaults.guidance);
  byId('time').textContent = durationText(candidates() * model.seconds_per_candidate * share);
  byId('draw').textContent = { generation: 'Draw', edit: 'Redraw', variation: 'Vary' }[editor.kind];
}

function fitPrompt() {
  const prompt = byId('prompt');
  prompt.style.height = 'auto';
  prompt.style.height = `${prompt.scrollHeight}px`;
}

function fieldsAsked() {
  const fields = { prompt: byId('prompt').value.trim(), candidates: candidates(), n: keep() };
  for (const name of texts) if (byId(name).value) fields[name] = byId(name).value;
  for (const name of numbers) if (byId(name).value !== '') fields[name] = Number(byId(name).value);
  if (byId('seed').value) fields.seed = byId('seed').value;
  return fields;
}

// Drawing

function say(text, wrong = false) {
  byId('status').textContent = text;
  byId('status').classList.toggle('wrong', wrong);
}

const titleOf = (of, count) => `${of.prompt || 'Variations'} — the best ${count} of ${of.fields.candidates}`;

function onEvent(event) {
  const { type } = event;
  if (type === 'dalle1.started') {
    run.seed = event.seed;
  } else if (type === 'dalle1.progress') {
    byId('progress').value = event.tokens ? event.tokens_done / event.tokens : 1;
    const left = event.seconds_left > 1 ? `, ${durationText(event.seconds_left)} left` : '';
    const stage = { prefill: 'Reading the prompt', sample: 'Drawing', decode: 'Developing', score: 'Ranking', write: 'Ranking' };
    say(`${stage[event.stage]} · ${event.candidates_done} of ${event.candidates} done${left}`);
  } else if (type.endsWith('.partial_image')) {
    gallery.preview(event, model.grid);
  } else if (type === 'dalle1.scored') {
    gallery.add({ blob: blobOf(event.b64_json), candidate: event.candidate, score: event.score, seed: run.seed });
  } else if (type.endsWith('.completed')) {
    const { candidate, score, rank } = event;
    gallery.add({ blob: blobOf(event.b64_json), candidate, score, rank, seed: run.fields.seed ?? event.seed });
  }
}

async function start() {
  if (!model) return;
  if (!byId('prompt').value.trim() && editor.kind !== 'variation') return byId('prompt').focus();
  running?.abort();
  const own = running = new AbortController();
  const fields = fieldsAsked();
  run = { time: Date.now(), prompt: fields.prompt, fields };
  byId('work').hidden = byId('progress').hidden = byId('stop').hidden = false;
  byId('examples').hidden = true;
  byId('progress').removeAttribute('value');
  gallery.clear();
  gallery.expect(fields.candidates, fields.n);
  fitPrompt();
  say('Waiting for its turn');
  try {
    const { image, mask } = editor.picture;
    for await (const event of draw(fields, { image, mask: mask && await mask() }, own.signal)) if (running === own) onEvent(event);
    if (running !== own) return;
    if (!gallery.pictures.length) throw new ApiError(200, { message: 'The server ended without pictures.' });
    say(titleOf(run, gallery.pictures.length));
    await remember();
  } catch (error) {
    if (running === own) failed(error);
  } finally {
    if (running === own) {
      running = null;
      gallery.endDrafts();
      byId('progress').hidden = byId('stop').hidden = true;
      model = await loadModel().catch(() => model); // knows by now how long a candidate takes
      showPlan();
    }
  }
}

function failed(error) {
  if (error.name === 'AbortError') return say(gallery.pictures.length ? 'Stopped; these were done' : 'Stopped');
  if (error.status === 401) return askForKey(start);
  say(error instanceof ApiError ? error.message : 'The server cannot be reached.', true);
}

// History

async function remember() {
  const pictures = gallery.pictures.map(({ blob, candidate, seed, score, rank }) => ({ blob, candidate, seed, score, rank }));
  await addRun({ ...run, pictures }).catch(() => {}); // a browser may forbid it; the pictures are there all the same
  await showHistory();
}

function runItem(earlier) {
  const item = document.createElement('li');
  item.className = 'run';
  const open = document.createElement('button'), remove = document.createElement('button');
  const image = document.createElement('img'), words = document.createElement('div');
  image.src = URL.createObjectURL(earlier.pictures[0].blob);
  image.onload = () => URL.revokeObjectURL(image.src);
  image.alt = '';
  const title = document.createElement('b'), note = document.createElement('span');
  title.textContent = earlier.prompt || 'Variations';
  note.textContent = `${earlier.pictures.length} of ${earlier.fields.candidates} · ${new Date(earlier.time).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })}`;
  words.append(title, note);
  open.append(image, words);
  open.className = 'run-open';
  open.type = remove.type = 'button';
  open.addEventListener('click', () => showRun(earlier));
  remove.className = 'run-remove';
  remove.textContent = '×';
  remove.setAttribute('aria-label', `Forget: ${earlier.prompt}`);
  remove.addEventListener('click', async () => { await removeRun(earlier.time); showHistory(); });
  item.append(open, remove);
  return item;
}

async function showHistory() {
  const runs = await allRuns().catch(() => []);
  byId('earlier').hidden = runs.length === 0;
  byId('runs').replaceChildren(...runs.map(runItem));
}

function showRun(earlier) {
  running?.abort();
  running = null;
  run = earlier;
  byId('work').hidden = false;
  byId('progress').hidden = byId('stop').hidden = true;
  gallery.clear();
  gallery.expect(0, earlier.pictures.length);
  for (const picture of earlier.pictures) gallery.add({ ...picture });
  byId('prompt').value = earlier.prompt;
  fitPrompt();
  say(titleOf(earlier, earlier.pictures.length));
  byId('work').scrollIntoView({ block: 'start' });
}

// The start

function showExamples() {
  byId('examples').replaceChildren(...examples.map((text) => {
    const item = document.createElement('li'), button = document.createElement('button');
    button.type = 'button';
    button.textContent = text;
    button.addEventListener('click', () => { byId('prompt').value = text; start(); });
    item.append(button);
    return item;
  }));
}

function askForKey(then) {
  byId('key-form').onsubmit = () => { keepKey(byId('key').value); then(); };
  byId('key-dialog').showModal();
}

async function connect() {
  try {
    model = await loadModel();
  } catch (error) {
    if (error.status === 401) return askForKey(connect);
    byId('about').textContent = error instanceof ApiError ? error.message : 'The server cannot be reached.';
    return setTimeout(connect, 3000);
  }
  editor.grid = model.grid;
  byId('about').textContent = `${model.id} · ${model.size}`;
  byId('candidates').max = Math.ceil(Math.log2(model.limits.candidates));
  byId('candidates').value = Math.round(Math.log2(model.defaults.candidates));
  byId('keep').max = Math.min(32, model.limits.n);
  byId('keep').value = Math.min(8, model.limits.n);
  for (const name of numbers) byId(name).placeholder = model.defaults[name];
  showPlan();
}

byId('desk').addEventListener('submit', (event) => { event.preventDefault(); start(); });
byId('desk').addEventListener('input', showPlan);
byId('prompt').addEventListener('input', fitPrompt);
byId('prompt').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  start();
});
byId('stop').addEventListener('click', () => running?.abort());
byId('forget').addEventListener('click', async () => { await removeAll(); showHistory(); });
byId('choose').addEventListener('click', () => byId('file').click());

async function takeFile(file) {
  if (!file) return;
  try {
    await editor.take(file);
  } catch {
    byId('work').hidden = false;
    say(`${file.name} is no picture that this browser can read.`, true);
  }
}
byId('file').addEventListener('change', () => { takeFile(byId('file').files[0]); byId('file').value = ''; });
document.addEventListener('paste', (event) => takeFile([...event.clipboardData.files].find((file) => file.type.startsWith('image/'))));
document.addEventListener('dragover', (event) => { event.preventDefault(); byId('drop').hidden = false; });
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) byId('drop').hidden = true; });
document.addEventListener('drop', (event) => { event.preventDefault(); byId('drop').hidden = true; takeFile(event.dataTransfer.files[0]); });

showExamples();
showHistory();
connect();

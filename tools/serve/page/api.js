// What the server is asked: the model, and pictures as a stream of events.

const storedKey = 'dalle1-key';

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = error?.code;
  }
}

export function keepKey(key) { localStorage.setItem(storedKey, key); }

function headers() {
  const key = localStorage.getItem(storedKey);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error);
}

export async function loadModel() {
  const response = await checked(await fetch('/v1/models', { headers: headers() }));
  return (await response.json()).data[0];
}

// One event after another; throws what the server says went wrong.
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
      if (!data) continue;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError(200, event.error);
      yield event;
    }
  }
}

/** Draws. `fields` as of the API; with `image` (a Blob) a variation, with `mask` too an edit. */
export async function* draw(fields, { image, mask } = {}, signal) {
  const asked = { ...fields, stream: true, progress: true, partial_images: 6 };
  const request = { method: 'POST', signal, headers: headers() };
  let task = 'generations';
  if (image) {
    task = mask ? 'edits' : 'variations';
    request.body = new FormData();
    request.body.append('image', image, 'image.png');
    if (mask) request.body.append('mask', mask, 'mask.png');
    for (const [name, value] of Object.entries(asked)) request.body.append(name, value);
  } else {
    request.headers['Content-Type'] = 'application/json';
    request.body = toJson(asked);
  }
  yield* eventsOf(await checked(await fetch(`/v1/images/${task}`, request)));
}

// A seed may be larger than the numbers of JavaScript, so it is kept as text and written as it is.
function toJson(fields) {
  const { seed, ...others } = fields;
  const text = JSON.stringify(others);
  return seed === undefined ? text : `{"seed":${seed},${text.slice(1)}`;
}

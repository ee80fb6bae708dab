// The official JavaScript client against a running server: node client.mjs FOLDER URL PICTURE, where FOLDER has
// node_modules/openai. Prints "ok" or what went wrong.
import assert from 'node:assert/strict';
import { File } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

globalThis.File ??= File; // which Node.js 18 does not have there, and the client says to put there

const [folder, url, picture] = process.argv.slice(2);
const module = createRequire(`${folder}/`).resolve('openai');
const { default: OpenAI } = await import(pathToFileURL(module));
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'a-key-of-some-length', maxRetries: 0 });
const png = (base64) => Buffer.from(base64, 'base64').subarray(1, 4).toString() === 'PNG';

const models = await client.models.list();
const [model] = models.data;
assert.equal(models.data.length, 1);
assert.equal((await client.models.retrieve(model.id)).id, model.id);

const asked = { model: model.id, prompt: 'a red cat', n: 2, candidates: 4, seed: 5 };
const whole = await client.images.generate({ ...asked, response_format: 'b64_json' });
assert.equal(whole.data.length, 2);
assert.ok(whole.data.every(({ b64_json }) => png(b64_json)));
assert.match(whole._request_id, /^req_/);

const stream = await client.images.generate({ ...asked, stream: true, partial_images: 2 });
const types = [];
let last;
for await (const event of stream) types.push((last = event).type);
assert.ok(types.includes('image_generation.partial_image'));
assert.equal(types.filter((type) => type === 'image_generation.completed').length, 2);
assert.equal(last.b64_json, whole.data[1].b64_json);

const edited = await client.images.edit({ ...asked, image: createReadStream(picture), keep_rows: 4 });
assert.equal(edited.data.length, 2);
const varied = await client.images.createVariation({ image: createReadStream(picture), n: 1, candidates: 3 });
assert.equal(varied.data.length, 1);

const embedded = await client.embeddings.create({ model: model.id, input: ['a red cat', 'a blue square'] });
assert.equal(embedded.data.length, 2);
assert.ok(Math.abs(Math.hypot(...embedded.data[1].embedding) - 1) < 1e-5);

const refused = async (fields, type) => {
  const error = await client.images.generate(fields).then(() => null, (caught) => caught);
  assert.ok(error instanceof type, `${error}`);
  return error;
};
assert.equal((await refused({ ...asked, temperature: 'hot' }, OpenAI.BadRequestError)).param, 'temperature');
await refused({ ...asked, model: 'dall-e-3' }, OpenAI.NotFoundError);
const aborting = new AbortController();
setTimeout(() => aborting.abort(), 100);
await client.images.generate({ ...asked, candidates: 500, batch: 1 }, { signal: aborting.signal }).then(
  () => assert.fail('not aborted'), (error) => assert.ok(error instanceof OpenAI.APIUserAbortError));
console.log('ok');

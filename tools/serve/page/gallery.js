// The pictures of a run: drafts that grow row by row, and finished ones in the order of their scores.

const calm = matchMedia('(prefers-reduced-motion: reduce)');

export function blobOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: 'image/png' });
}

export const scoreText = (score) => score.toFixed(Math.abs(score) < 10 ? 2 : 1);

export class Gallery {
  constructor(list, open) {
    this.list = list;
    this.open = open;
    this.clear();
    list.addEventListener('keydown', (event) => this.#key(event));
  }

  clear() {
    for (const picture of this.pictures ?? []) URL.revokeObjectURL(picture.url);
    this.pictures = []; // finished, best first
    this.drafts = new Map(); // candidate: list item
    this.list.replaceChildren();
  }

  /** As many empty places as there will be drafts. */
  expect(count, keep) {
    this.keep = keep;
    this.list.classList.toggle('few', keep <= 4);
    for (let i = 0; i < Math.min(count, keep, 4); ++i) this.#draft(-1 - i);
  }

  preview({ candidate, rows, b64_json }, grid) {
    let item = this.drafts.get(candidate);
    if (!item) {
      const free = [...this.drafts.keys()].find((key) => key < 0);
      item = free === undefined ? this.#draft(candidate) : this.drafts.get(free);
      this.drafts.delete(free);
      this.drafts.set(candidate, item);
    }
    const image = item.querySelector('img');
    const old = image.src;
    image.hidden = false;
    image.src = URL.createObjectURL(blobOf(b64_json));
    if (old) URL.revokeObjectURL(old);
    item.firstChild.style.setProperty('--drawn', `${100 * rows / grid}%`);
  }

  #draft(key) {
    const item = document.createElement('li');
    const tile = document.createElement('div');
    tile.className = 'tile draft';
    const image = document.createElement('img');
    image.alt = 'being drawn';
    image.hidden = true;
    tile.append(image);
    item.append(tile);
    this.list.append(item);
    this.drafts.set(key, item);
    return item;
  }

  endDrafts() {
    for (const item of this.drafts.values()) {
      const { src } = item.querySelector('img');
      if (src) URL.revokeObjectURL(src);
      item.remove();
    }
    this.drafts.clear();
  }

  /** A finished picture: { blob, candidate, seed, score }; the same candidate again replaces it. */
  add(picture) {
    const known = this.pictures.find((other) => other.candidate === picture.candidate);
    if (known) {
      Object.assign(known, picture);
      return this.#arrange();
    }
    picture.url = URL.createObjectURL(picture.blob);
    picture.item = this.#tile(picture);
    this.drafts.get(picture.candidate)?.remove();
    this.drafts.delete(picture.candidate);
    this.pictures.push(picture);
    this.#arrange();
  }

  #tile(picture) {
    const item = document.createElement('li');
    const tile = document.createElement('button');
    tile.type = 'button';
    tile.className = 'tile';
    const image = document.createElement('img');
    image.src = picture.url;
    image.alt = '';
    const tag = document.createElement('span');
    tag.className = 'tag';
    tile.append(image, tag);
    tile.addEventListener('click', () => this.open(this.pictures.indexOf(picture)));
    item.append(tile);
    return item;
  }

  // Best first, then the drafts; what moves is seen to move.
  #arrange() {
    const before = new Map(this.pictures.map(({ item }) => [item, item.isConnected ? item.getBoundingClientRect() : null]));
    this.pictures.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || b.score - a.score || a.candidate - b.candidate);
    for (const picture of this.pictures.splice(this.keep)) {
      picture.item.remove();
      URL.revokeObjectURL(picture.url);
    }
    this.pictures.forEach((picture, rank) => {
      const { item, score } = picture;
      if (this.list.children[rank] !== item) this.list.insertBefore(item, this.list.children[rank] ?? null);
      item.classList.toggle('first', rank === 0 && this.pictures.length > 1);
      item.querySelector('.tag').textContent = scoreText(score);
      item.firstChild.setAttribute('aria-label', `Picture ${rank + 1}, score ${scoreText(score)}`);
    });
    if (calm.matches) return;
    for (const { item } of this.pictures) {
      const old = before.get(item), now = item.getBoundingClientRect();
      const from = old ? { transform: `translate(${old.left - now.left}px, ${old.top - now.top}px)` }
        : { opacity: 0, transform: 'scale(.96)' };
      if (!old || old.left !== now.left || old.top !== now.top)
        item.animate([from, { opacity: 1, transform: 'none' }], { duration: 350, easing: 'ease-out' });
    }
  }

  #key(event) {
    const tiles = [...this.list.querySelectorAll('button.tile')], at = tiles.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step || !tiles[at + step]) return;
    event.preventDefault();
    tiles[at + step].focus();
  }
}

// The picture that a drawing goes on from, and the cells of it that are marked to be drawn anew.

const side = 512; // pixels of the canvas

// Stripes that are seen on any picture.
function hatched(context) {
  const tile = new OffscreenCanvas(16, 16), stripes = tile.getContext('2d');
  stripes.fillStyle = 'rgb(255 255 255 / 72%)';
  stripes.fillRect(0, 0, 16, 16);
  stripes.strokeStyle = 'rgb(50 70 190 / 75%)';
  stripes.lineWidth = 3;
  for (const at of [-16, 0, 16]) {
    stripes.beginPath();
    stripes.moveTo(at - 2, 18);
    stripes.lineTo(at + 18, -2);
    stripes.stroke();
  }
  return context.createPattern(tile, 'repeat');
}

export class Editor {
  constructor(elements, changed) {
    this.elements = elements;
    this.changed = changed;
    this.grid = 32;
    this.marked = new Set();
    this.cursor = null;
    const { canvas, brush, erase } = elements;
    canvas.width = canvas.height = side;
    this.context = canvas.getContext('2d');
    canvas.addEventListener('pointerdown', (event) => this.#press(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('keydown', (event) => this.#key(event));
    canvas.addEventListener('blur', () => { this.cursor = null; this.#paint(); });
    erase.addEventListener('click', () => erase.setAttribute('aria-pressed', String(!this.erasing)));
    elements.bottom.addEventListener('click', () => this.#markWhere((row) => row >= this.grid / 2));
    elements.right.addEventListener('click', () => this.#markWhere((row, column) => column >= this.grid / 2));
    elements.none.addEventListener('click', () => this.#markWhere(() => false));
    elements.remove.addEventListener('click', () => this.remove());
    brush.addEventListener('input', () => this.#paint());
  }

  get erasing() { return this.elements.erase.getAttribute('aria-pressed') === 'true'; }
  get picture() { return this.bitmap ? { image: this.file, mask: this.marked.size ? this.mask : null } : {}; }
  get kind() { return !this.bitmap ? 'generation' : this.marked.size ? 'edit' : 'variation'; }

  /** Takes the centred square of a picture file. */
  async take(blob) {
    const whole = await createImageBitmap(blob);
    const least = Math.min(whole.width, whole.height);
    this.bitmap = await createImageBitmap(whole, (whole.width - least) >> 1, (whole.height - least) >> 1, least, least);
    this.file = await this.#asPng((context, size) => context.drawImage(this.bitmap, 0, 0, size, size));
    this.marked.clear();
    this.elements.section.hidden = false;
    await this.#change();
  }

  remove() {
    this.bitmap = null;
    this.elements.section.hidden = true;
    this.changed();
  }

  #markWhere(holds) {
    this.marked.clear();
    for (let row = 0; row < this.grid; ++row)
      for (let column = 0; column < this.grid; ++column)
        if (holds(row, column)) this.marked.add(row * this.grid + column);
    this.#change();
  }

  // Cells in reach of the brush around one.
  #brush(row, column) {
    const reach = (Number(this.elements.brush.value) - 1) / 2;
    for (let r = Math.ceil(row - reach); r <= row + reach; ++r)
      for (let c = Math.ceil(column - reach); c <= column + reach; ++c) {
        if (r < 0 || c < 0 || r >= this.grid || c >= this.grid) continue;
        if (this.erasing) this.marked.delete(r * this.grid + c);
        else this.marked.add(r * this.grid + c);
      }
  }

  #cellAt(event) {
    const box = this.elements.canvas.getBoundingClientRect();
    const cell = (at, begin, length) => Math.min(this.grid - 1, Math.max(0, Math.floor((at - begin) / length * this.grid)));
    return [cell(event.clientY, box.top, box.height), cell(event.clientX, box.left, box.width)];
  }

  #press(event) {
    this.elements.canvas.setPointerCapture(event.pointerId);
    this.last = null;
    this.#stroke(event);
  }

  #move(event) {
    if (event.buttons & 1) this.#stroke(event);
  }

  // From the last place to this one, without gaps.
  #stroke(event) {
    const [row, column] = this.#cellAt(event);
    const [r0, c0] = this.last ?? [row, column];
    const steps = Math.max(1, Math.abs(row - r0), Math.abs(column - c0));
    for (let i = 0; i <= steps; ++i)
      this.#brush(Math.round(r0 + (row - r0) * i / steps), Math.round(c0 + (column - c0) * i / steps));
    this.last = [row, column];
    this.#change();
  }

  #key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move && event.key !== ' ') return;
    event.preventDefault();
    const within = (at) => Math.min(this.grid - 1, Math.max(0, at));
    const [row, column] = this.cursor ?? [this.grid >> 1, this.grid >> 1];
    this.cursor = move ? [within(row + move[0]), within(column + move[1])] : [row, column];
    if (!move || event.shiftKey) this.#brush(...this.cursor);
    this.#change();
  }

  async #change() {
    this.#paint();
    this.changed();
    const cell = (context, size) => {
      context.fillRect(0, 0, size, size);
      for (const index of this.marked)
        context.clearRect(index % this.grid * size / this.grid, Math.floor(index / this.grid) * size / this.grid,
          size / this.grid, size / this.grid);
    };
    // What is sent is made when it is wanted; marks may change many times before.
    this.mask = () => this.#asPng(cell);
  }

  #asPng(paint) {
    const size = this.grid * 8;
    const canvas = new OffscreenCanvas(size, size);
    paint(canvas.getContext('2d'), size);
    return canvas.convertToBlob({ type: 'image/png' });
  }

  #paint() {
    if (!this.bitmap) return;
    const { context } = this, cell = side / this.grid;
    context.clearRect(0, 0, side, side);
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.bitmap, 0, 0, side, side);
    context.fillStyle = this.hatching ??= hatched(context);
    for (const index of this.marked)
      context.fillRect(index % this.grid * cell, Math.floor(index / this.grid) * cell, cell, cell);
    if (!this.cursor) return;
    const reach = Number(this.elements.brush.value), [row, column] = this.cursor;
    context.lineWidth = 3;
    context.strokeStyle = '#fff';
    context.strokeRect((column - (reach - 1) / 2) * cell, (row - (reach - 1) / 2) * cell, reach * cell, reach * cell);
  }
}

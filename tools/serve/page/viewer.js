// One picture, large, with what is known of it and what can be done with it.

import { scoreText } from './gallery.js';

export class Viewer {
  /** `actions`: { vary, edit, useSeed }, each given a picture and its run. */
  constructor(dialog, actions) {
    this.dialog = dialog;
    this.find = (name) => dialog.querySelector(`#viewer-${name}`);
    const act = (name, action) => this.find(name).addEventListener('click', () => {
      dialog.close();
      action(this.picture, this.run);
    });
    act('vary', actions.vary);
    act('edit', actions.edit);
    act('seed', actions.useSeed);
    this.find('close').addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step && this.pictures[this.at + step]) this.#show(this.at + step);
    });
  }

  open(pictures, at, run) {
    this.pictures = pictures;
    this.run = run;
    this.#show(at);
    this.dialog.showModal();
  }

  #show(at) {
    this.at = at;
    this.picture = this.pictures[at];
    const { url, seed, candidate, score } = this.picture;
    this.find('picture').src = url;
    this.find('picture').alt = this.run.prompt;
    this.find('prompt').textContent = this.run.prompt || 'Without a prompt';
    const facts = { Rank: `${at + 1} of ${this.pictures.length}`, Score: scoreText(score), Seed: seed, Candidate: candidate };
    this.find('facts').replaceChildren(...Object.entries(facts).flatMap(([name, value]) => {
      const term = document.createElement('dt'), fact = document.createElement('dd');
      term.textContent = name;
      fact.textContent = value;
      return [term, fact];
    }));
    const download = this.find('download');
    download.href = url;
    const name = this.run.prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40).replace(/^-|-$/g, '') || 'picture';
    download.download = `${name}-${seed}-${candidate}.png`;
  }
}

// Runs of this browser, in its own database: prompts, settings, pictures.

const most = 60;

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('dalle1', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('runs', { keyPath: 'time' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, action) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction('runs', mode);
      const request = action(transaction.objectStore('runs'));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** The newest first. */
export async function allRuns() {
  return (await inStore('readonly', (store) => store.getAll())).reverse();
}

/** `run`: { time, prompt, fields, pictures: [{ blob, candidate, seed, score, rank }] } */
export async function addRun(run) {
  await inStore('readwrite', (store) => store.put(run));
  for (const old of (await allRuns()).slice(most)) await removeRun(old.time);
}

export const removeRun = (time) => inStore('readwrite', (store) => store.delete(time));
export const removeAll = () => inStore('readwrite', (store) => store.clear());

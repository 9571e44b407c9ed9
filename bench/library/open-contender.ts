/** A fresh process that opens a store: `node --expose-gc open-contender.js '{…}'`. */
import { contenderArgument } from '../measure/contender.ts';
import type { OpenArgument, OpenResult } from './open-cases.ts';

/** Resident bytes after a garbage collection. */
function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

const { storeDirectory, snapshot: name } = contenderArgument<OpenArgument>();
const residentBefore = residentBytes();
const started = performance.now();
// Imported only now, so that its time and memory are measured apart from Node's own.
const { Store } = await import('../../src/index.ts');
const loaded = performance.now();
const store = await Store.open(storeDirectory, { create: false });
const opened = performance.now();
const snapshot = await store.snapshot(name);
snapshot.fs.statSync('/part-0/module-1/file-1.ts');
const looked = performance.now();
const result: OpenResult = {
  loadMs: loaded - started,
  openMs: opened - loaded,
  statMs: looked - loaded,
  residentBytes: residentBytes() - residentBefore,
};
await store.close();
process.stdout.write(JSON.stringify(result));

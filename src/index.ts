/**
 * Ramet: a copy-on-write filesystem. A store holds snapshots (frozen trees) and forks (writable trees over them); all
 * share one copy of their data, on disk and in memory, page by page, until a page is written.
 *
 * ```js
 * import { Store } from 'ramet';
 *
 * const store = await Store.open('./.ramet');                        // made if there is none
 * const base = await store.import('./project', { name: 'base' });    // a snapshot of a directory
 * const fork = await base.fork('try-1');                             // writable, made in an instant
 *
 * fork.fs.writeFileSync('/hello.txt', 'hello from a fork\n');        // passes as node:fs
 * await fork.fs.promises.cp('/src', '/src2', { recursive: true });   // shares every block
 *
 * const view = fork.map('/hello.txt');                               // live bytes: later writes show
 * console.log(Buffer.from(view.bytes).toString());
 * view.close();
 *
 * for (const { kind, path } of await fork.diff()) console.log(kind, path);
 * const done = await fork.snapshot('done');                          // frozen as it is now
 * console.log(done.fs.readdirSync('/'));
 *
 * await fork.close();                                                // `await using` does it too
 * await store.close();
 * ```
 *
 * Errors are those of node:fs (`ENOENT: no such file or directory, open '/x'`, with code, errno, syscall and path) and
 * `StoreError` when the store itself is at fault.
 */
export * from './library/index.ts';

/** Names that the kernel looks up and forgets, over and over: the server's memory does not grow. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const DIRECTORIES = 100;
const FILES = 200;
/** RAMET_FORGET_ROUNDS=50 looks up a million names. */
const ROUNDS = Number(process.env.RAMET_FORGET_ROUNDS ?? 4);
/** Rounds before measuring, in which caches fill and code is compiled. */
const FIRST_ROUNDS = 3;
/**
 * A file that the server knows takes about 4 KiB: if files were kept, four rounds would take 300 MiB. The heap varies
 * by some 45 MiB between two collections, after 20 rounds and after 150.
 */
const GROWTH_BYTES_MAX = 96 * 2 ** 20;

function makeTree(root: string): void {
  for (let directory = 0; directory < DIRECTORIES; directory++) {
    mkdirSync(join(root, `directory-${directory}`));
    for (let file = 0; file < FILES; file++)
      writeFileSync(join(root, `directory-${directory}`, `file-${file}`), '');
  }
}

/** Looks every name up; then the kernel drops the inodes and names that nobody uses: proc_sys_vm(5). */
function lookUpAndForget(root: string): void {
  const count = execFileSync('sh', ['-c', 'find "$1" -type f -size -9k | wc -l', 'sh', root], {
    encoding: 'utf8',
  });
  assert.equal(Number(count), DIRECTORIES * FILES);
  writeFileSync('/proc/sys/vm/drop_caches', '2');
}

async function servingBytes(server: MountServerProcess): Promise<number> {
  return (await server.ask({ kind: 'memory' })).anonymousBytes!;
}

describe('names that are forgotten', { skip: whyNoMounts() }, () => {
  it('take no memory of the server, however many were looked up', async () => {
    const source = mkdtempSync(join(directoryOnDisk(), 'ramet-forget-'));
    await using server = await MountServerProcess.start();
    try {
      makeTree(source);
      await server.ask({ kind: 'import', directory: source, name: 'base' });
    } finally {
      rmSync(source, { recursive: true });
    }
    await server.ask({ kind: 'fork', source: 'base', name: 'fork' });
    const root = await server.mount('fork');
    for (let round = 0; round < FIRST_ROUNDS; round++) lookUpAndForget(root);
    const before = await servingBytes(server);
    for (let round = 0; round < ROUNDS; round++) lookUpAndForget(root);
    const grown = (await servingBytes(server)) - before;
    assert.ok(grown < GROWTH_BYTES_MAX, `${Math.round(grown / 2 ** 20)} MiB more after ${ROUNDS} rounds`);
    await server.unmount(root);
  });
});

/** Two forks read unchanged pages of a host file from that file's own page cache, so they take memory once. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import { createSystem } from '../../src/sys/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { HostTree } from '../trees/host-tree.ts';

const MIB = 1024 * 1024;
const FILE_BYTES = 128 * MIB;
/** Other processes use the page cache as well, so one of several attempts has to succeed. */
const ATTEMPTS = 5;

/** Cached of proc_meminfo(5). */
function cachedBytes(): number {
  const kibibytes = /^Cached:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

test('pages of a host file that two forks read are cached once', { skip: nativeOnly }, async (context) => {
  const host = await HostTree.create(context);
  const system = createSystem();
  host.write('large', Buffer.alloc(FILE_BYTES, 'large'));
  const trees = [host.fork('one'), host.fork('two')];
  const piece = Buffer.alloc(MIB);
  const growths: number[] = [];
  const fd = fs.openSync(host.at('large'), 'r');
  fs.fsyncSync(fd);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    system.dropCache(fd);
    const before = cachedBytes();
    for (const { fileSystem } of trees) {
      const file = fileSystem.open('/large', fs.constants.O_RDONLY, 0);
      for (let at = 0; at < FILE_BYTES; at += MIB)
        assert.equal(fileSystem.read(file, piece, 0, MIB, at), MIB);
      fileSystem.close(file);
    }
    growths.push((cachedBytes() - before) / FILE_BYTES);
    if (isOnce(growths.at(-1)!)) break;
  }
  fs.closeSync(fd);
  context.diagnostic(
    `Cached grew by ${growths.map((growth) => growth.toFixed(2)).join(', ')} times the file`,
  );
  assert.ok(isOnce(growths.at(-1)!), growths.join(', '));
});

function isOnce(growth: number): boolean {
  return growth > 0.8 && growth < 1.2;
}

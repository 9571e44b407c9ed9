/** Exports of changes: applied to the tree that was compared with, a layer gives the tree that was exported. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { onPath } from '../../testing/host/by-path.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { changeSomething, writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { storeWithBase } from '../../testing/stores/store-with-base.ts';
import { exportTree } from '../../testing/trees/export-tree.ts';
import { isRoot } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { isFsError, SeededRandom } from '../base/index.ts';
import { type StoreEngine, settleTree } from '../store/index.ts';
import { createSystem, type System } from '../sys/index.ts';
import { type ChangesFormat, exportChanges } from './export-changes.ts';

async function exported(
  engine: StoreEngine,
  [a, b]: readonly [string, string],
  where: string,
  format: ChangesFormat = 'oci',
) {
  const settled = (name: string) => settleTree(engine, name, new Set());
  const tree = engine.openTreeOf(b) ?? engine.openTree(b);
  const changed = { name: b, files: tree.fileSystem, before: settled(a), after: settled(b) };
  return await exportChanges(engine, changed, where, { format });
}

/** Applies an OCI layer as layer.md says, without the code under test. Returns the paths of the layer. */
async function applyLayer(system: System, layer: string, root: string): Promise<string[]> {
  const paths: string[] = [];
  const directories: [string, Header][] = [];
  const source = createReadStream(layer);
  const archive = layer.endsWith('.gz') ? source.pipe(createGunzip()) : source;
  for await (const entry of archive.pipe(extract())) {
    const { header } = entry;
    paths.push(header.name.replace(/^\.\//, ''));
    const path = join(root, header.name).replace(/\/$/, '');
    const last = header.name.split('/').at(-1) ?? '';
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    if (last.startsWith('.wh.')) {
      rmSync(join(dirname(path), last.slice(4)), { recursive: true, force: true });
      continue;
    }
    const isDirectory = header.type === 'directory';
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there !== undefined && !(isDirectory && there.isDirectory())) rmSync(path, { recursive: true });
    if (isDirectory) mkdirSync(path, { recursive: true });
    else if (header.type === 'symlink') symlinkSync(header.linkname ?? '', path);
    else if (header.type === 'link') linkSync(join(root, header.linkname ?? ''), path);
    else writeFileSync(path, Buffer.concat(chunks));
    if (isDirectory) directories.push([path, header]);
    else if (header.type !== 'link') dress(system, path, header);
  }
  for (const [path, header] of directories.reverse()) dress(system, path, header);
  return paths;
}

function dress(system: System, path: string, header: Header): void {
  // The cast: tar-stream gives the records of an extended header as strings, but its types do not say so.
  const pax = (header.pax ?? {}) as Readonly<Record<string, string>>;
  const [seconds = '0', nanoseconds = '0'] = (pax.mtime ?? '0.0').split('.');
  const time = { seconds: Number(seconds), nanoseconds: Number(nanoseconds) };
  onPath(system, path, (fd) => {
    if (isRoot) system.chownFile(fd, header.uid ?? 0, header.gid ?? 0);
    for (const name of system.readFileXattrs(fd).keys()) {
      const wanted = pax[`SCHILY.xattr.${name}`];
      if (wanted === undefined) execFileSync('setfattr', ['-h', '-x', name, path]);
    }
    for (const [key, value] of Object.entries(pax)) {
      if (key.startsWith('SCHILY.xattr.')) system.writeFileXattr(fd, key.slice(13), Buffer.from(value));
    }
    if (header.type !== 'symlink') system.chmodFile(fd, header.mode ?? 0);
    system.setFileTimes(fd, time, time);
  });
}

describe('a layer of changes', () => {
  test('gives the tree it was made of, after random changes', { skip: nativeOnly }, async (context) => {
    const system = createSystem();
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(seed);
      const engine = await storeWithBase(context);
      const one = engine.fork('base', 'one').fileSystem;
      for (let count = 0; count < 10; count++) changeSomething(one, random);
      const two = engine.fork('one', 'two').fileSystem;
      for (let count = 0; count < 25; count++) changeSomething(two, random);
      const root = scratchDirectory(context);
      const [patched, wanted, layer] = [join(root, 'patched'), join(root, 'wanted'), join(root, 'layer.tar')];
      await exportTree(engine, 'one', patched);
      await exportTree(engine, 'two', wanted);
      await exported(engine, ['one', 'two'], layer);
      await applyLayer(system, layer, patched);
      const differences = compareTrees(describeHostTree(system, wanted), describeHostTree(system, patched));
      assert.deepEqual(differences, [], `seed ${seed}`);
      await engine.close();
    }
  });

  test('holds what changed, the directories above it, and whiteouts', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    writeText(fileSystem, '/sub/deep/d', 'changed');
    fileSystem.unlink('/a');
    fileSystem.rename('/sub/c', '/c');
    const layer = join(scratchDirectory(context), 'layer.tar.gz');
    const report = await exported(engine, ['base', 'try'], layer);
    const { files, directories, whiteouts, format } = report;
    assert.deepEqual([files, directories, whiteouts, format], [2, 3, 2, 'tar']);
    const listed = execFileSync('tar', ['tzf', layer], { encoding: 'utf8' }).trim().split('\n');
    assert.deepEqual(listed, [
      './',
      './.wh.a',
      './c',
      './sub/',
      './sub/.wh.c',
      './sub/deep/',
      './sub/deep/d',
    ]);
  });

  test('has one whiteout for a removed directory, and all names of a file that has several', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    for (const name of ['d', 'e']) fileSystem.unlink(`/sub/deep/${name}`);
    fileSystem.removeDirectory('/sub/deep');
    fileSystem.link('/a', '/sub/a2', false);
    const layer = join(scratchDirectory(context), 'layer.tar');
    await exported(engine, ['base', 'try'], layer);
    const listed = execFileSync('tar', ['tf', layer], { encoding: 'utf8' }).trim().split('\n');
    assert.deepEqual(listed, ['./', './a', './sub/', './sub/.wh.deep', './sub/a2']);
  });

  test('refuses names that would be read as whiteouts, as a tar', async (context) => {
    const engine = await storeWithBase(context);
    writeText(engine.fork('base', 'try').fileSystem, '/sub/.wh.c', 'x');
    const where = join(scratchDirectory(context), 'layer');
    await assert.rejects(
      exported(engine, ['base', 'try'], `${where}.tar`),
      (error) => isFsError(error, 'EINVAL') && /try:\/sub\/\.wh\.c.*overlay/.test(error.message),
    );
    await exported(engine, ['base', 'try'], where, 'overlay');
    assert.ok(existsSync(join(where, 'sub/.wh.c')));
  });

  test('is an upper directory of overlayfs', {
    skip: nativeOnly || (!isRoot && 'mounts take root'),
  }, async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    writeText(fileSystem, '/sub/deep/d', 'changed');
    fileSystem.unlink('/a');
    fileSystem.rename('/sub/c', '/c');
    const root = scratchDirectory(context);
    const at = (name: string) => join(root, name);
    await exportTree(engine, 'base', at('lower'));
    await exportTree(engine, 'try', at('wanted'));
    const report = await exported(engine, ['base', 'try'], at('upper'), 'overlay');
    assert.equal(report.whiteouts, 2);
    mkdirSync(at('merged'));
    const options = `lowerdir=${at('upper')}:${at('lower')}`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, at('merged')]);
    try {
      const system = createSystem();
      const [wanted, merged] = [at('wanted'), at('merged')].map((path) => describeHostTree(system, path));
      assert.deepEqual(compareTrees(wanted!, merged!), []);
    } finally {
      execFileSync('umount', [at('merged')]);
    }
    assert.deepEqual(readdirSync(at('upper')).sort(), ['a', 'c', 'sub']);
  });
});

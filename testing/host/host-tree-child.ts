/**
 * For tests: looks at a fork of a directory as the test process cannot: in a mount namespace of its own, or as a user
 * without rights. Arguments: the trial, the directory, the store. Prints JSON.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createNodeFs } from '../../src/library/fs.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { problemsOf, writeFile } from '../stores/shared-store.ts';
import { contentOf, namesIn } from '../trees/host-tree.ts';
import { leaveMountsOfOthers } from './own-namespace.ts';

function errorOf(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error);
    return error.message;
  }
}

/** Mounts a tmpfs, and the directory itself, inside the directory; only this mount namespace sees these mounts. */
function mountInside(root: string): void {
  leaveMountsOfOthers();
  for (const name of ['tmpfs', 'loop']) mkdirSync(`${root}/${name}`);
  execFileSync('mount', ['-t', 'tmpfs', 'none', `${root}/tmpfs`]);
  writeFileSync(`${root}/tmpfs/inside`, 'of another tree');
  execFileSync('mount', ['--bind', root, `${root}/loop`]);
}

function lookAtMounts(tree: Tree): unknown {
  const { fileSystem } = tree;
  const kinds = ['/tmpfs', '/loop'].map((path) => (fileSystem.stat(path, false).mode & 0o170000).toString(8));
  return {
    names: namesIn(tree),
    kinds,
    list: ['/tmpfs', '/loop'].map((path) => errorOf(() => namesIn(tree, path))),
    read: ['/tmpfs/inside', '/loop/file'].map((path) => contentOf(tree, path)),
    create: ['/tmpfs/new', '/loop/new'].map((path) => errorOf(() => writeFile(tree, path, Buffer.from('x')))),
    remove: errorOf(() => fileSystem.removeDirectory('/tmpfs')),
    file: contentOf(tree, '/file').length,
  };
}

/** Files that a user without rights may not read are EACCES, with their names; all others are there. */
function lookWithoutRights(tree: Tree): unknown {
  const calls = createNodeFs(tree.fileSystem).fs;
  return {
    names: calls.readdirSync('/'),
    list: errorOf(() => calls.readdirSync('/closed')),
    lookup: errorOf(() => calls.statSync('/closed/inner')),
    read: errorOf(() => calls.readFileSync('/secret')),
    write: errorOf(() => calls.appendFileSync('/secret', 'x')),
    truncate: errorOf(() => calls.truncateSync('/secret')),
    open: calls.readFileSync('/open', 'utf8'),
  };
}

const [, , what, root, store] = process.argv as string[];
if (what === 'mounts') mountInside(root!);
const engine = await StoreEngine.open(store!, { create: true });
const tree = engine.forkHost(root!, 'fork', false);
const seen = what === 'mounts' ? lookAtMounts(tree) : lookWithoutRights(tree);
tree.close();
process.stdout.write(JSON.stringify({ seen, problems: problemsOf(engine) }));
await engine.close();

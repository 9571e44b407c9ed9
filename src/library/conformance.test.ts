/**
 * The conformance suite that node:fs passes, run on forks: an empty one, a fork of forks, a fork of a union, one used
 * with a plain user's rights, and forks of a directory of the host, to which each case adds its own directory.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { SubjectFactory } from '../../testing/conformance/run.ts';
import { runConformance } from '../../testing/conformance/run.ts';
import type { FsSubject, SubjectFeatures } from '../../testing/conformance/subject.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { actAs } from '../../testing/stores/act-as.ts';
import type { Tree } from '../store/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createNodeFs } from './fs.ts';

const directory = mkdtempSync(join(tmpdir(), 'ramet-conformance-'));
const engine = await StoreEngine.open(join(directory, 'store'), { create: true });
after(async () => {
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The user whose rights the unprivileged subjects have. */
const USER = { uid: 1000, gid: 1000, groups: [1000] };

function factoryOf(name: string, tree: Tree, isUnprivileged: boolean, hostRoot?: string): SubjectFactory {
  const { fileSystem } = tree;
  const { fs } = createNodeFs(fileSystem);
  const features: SubjectFeatures = {
    root: !isUnprivileged,
    unprivileged: isUnprivileged,
    sparseBlocks: true,
    nanosecondTimes: true,
    clockMoves: true,
  };
  let count = 0;
  return {
    name,
    features,
    create(): FsSubject {
      actAs(fileSystem, undefined);
      const root = `/case-${count++}`;
      if (hostRoot === undefined) fs.mkdirSync(root);
      else mkdirSync(hostRoot + root, { recursive: true });
      if (isUnprivileged) {
        fs.chownSync(root, USER.uid, USER.gid);
        actAs(fileSystem, USER);
      }
      return { name, fs, root, isHost: false, umask: fileSystem.caller.umask, features };
    },
    dispose(subject: FsSubject): void {
      actAs(fileSystem, undefined);
      fs.rmSync(subject.root, { recursive: true, force: true });
    },
  };
}

/** A chain of forks, with a file in each lower one, so that lookups go through several layers. */
function forkOfForks(): Tree {
  let tree = engine.createEmpty('depth-0');
  for (let depth = 1; depth <= 3; depth++) {
    createNodeFs(tree.fileSystem).fs.writeFileSync(`/layer-${depth}`, `written at depth ${depth}`);
    const next = engine.fork(`depth-${depth - 1}`, `depth-${depth}`);
    tree.close();
    tree = next;
  }
  return tree;
}

/** A fork over a union, one of whose lowers is a fork over a union: inode numbers of both kinds occur. */
function forkOfUnion(): Tree {
  for (const name of ['low', 'middle', 'top']) {
    const tree = engine.createEmpty(name);
    createNodeFs(tree.fileSystem).fs.writeFileSync(`/in-${name}`, name);
    tree.close();
  }
  const inner = engine.forkUnion(['middle', 'low'], 'inner');
  createNodeFs(inner.fileSystem).fs.writeFileSync('/in-inner', 'inner');
  inner.close();
  return engine.forkUnion(['top', 'inner'], 'union');
}

runConformance(factoryOf('an empty fork', engine.createEmpty('empty'), false));
runConformance(factoryOf('a fork of forks', forkOfForks(), false));
runConformance(factoryOf('a fork of a union', forkOfUnion(), false));
runConformance(factoryOf('a fork with the rights of a user', engine.createEmpty('user'), true));

/** Forks over a host tree need system calls that node:fs does not have. */
function runOverHost(): void {
  const hostRoot = join(directory, 'repo');
  mkdirSync(hostRoot);
  const overHost = engine.forkHost(hostRoot, 'over-host', false);
  engine.snapshot('over-host', 'snapshot');
  runConformance(factoryOf('a fork over a host tree', overHost, false, hostRoot));
  const forkOfHost = engine.fork('over-host', 'fork-of-host');
  runConformance(factoryOf('a fork of a fork over a host tree', forkOfHost, false, hostRoot));
  const forkOfSnapshot = engine.fork('snapshot', 'fork-of-snapshot');
  runConformance(factoryOf('a fork of a snapshot over a host tree', forkOfSnapshot, false, hostRoot));
  const pinned = engine.forkHost(hostRoot, 'pinned', true);
  runConformance(
    factoryOf('a pinned fork over a host tree, with the rights of a user', pinned, true, hostRoot),
  );
}

if (nativeOnly === false) runOverHost();

/**
 * Forks of a directory that changes underneath: every cell of the table in docs/host-trees.md. Each test checks
 * the open fork, and checks it again after the store was closed and opened.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { problemsOf, writeFile } from '../../testing/stores/shared-store.ts';
import {
  BLOCK,
  codeOf,
  contentOf,
  FILE_BYTES,
  HostTree,
  hostBytes,
  laterBytes,
  namesIn,
  rangeOf,
} from '../../testing/trees/host-tree.ts';
import type { Tree } from './tree.ts';

const FORK_BYTES = Buffer.from('written by the fork');
/** The bytes of the fork's file after `writeFile(…, FORK_BYTES, BLOCK)`. */
const mixedBytes = Buffer.from(hostBytes);
mixedBytes.set(FORK_BYTES, BLOCK);

interface Scene {
  readonly isPinned?: boolean;
  /** What the fork does before the host changes. */
  before?(tree: Tree): void;
  change(host: HostTree): void;
  /** Assertions that hold at once, and again after fork and store were opened again. */
  holds(tree: Tree, host: HostTree): void;
  /** The only file that fsck reports; undefined when fsck finds no problem. */
  readonly stale?: string;
}

/** Plays a scene over a host directory with `file` and `directory/inner`. */
async function play(context: TestContext, scene: Scene): Promise<void> {
  const host = await HostTree.create(context);
  host.write('file');
  host.write('directory/inner');
  const tree = host.fork('fork', scene.isPinned);
  // The fork reads everything first: if it kept stale state of a file, the scene would find that.
  contentOf(tree, '/file');
  contentOf(tree, '/directory/inner');
  tree.fileSystem.readDirectory('/');
  scene.before?.(tree);
  await afterAWhile();
  scene.change(host);
  scene.holds(tree, host);
  scene.holds(tree, host);
  tree.close();
  await host.reopenStore();
  const again = host.engine.openTree('fork');
  scene.holds(again, host);
  again.close();
  const problems = problemsOf(host.engine, { scrub: true });
  if (scene.stale === undefined) assert.deepEqual(problems, []);
  else {
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0]!, /host file/);
    assert.ok(problems[0]!.includes(`fork:${scene.stale}`), problems[0]);
  }
}

/** Waits until the timestamps of host files move on. */
async function afterAWhile(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 12));
}

const stat = (tree: Tree, path: string) => tree.fileSystem.stat(path, false);
const changeAttributes = (tree: Tree): void => tree.fileSystem.chmod('/file', 0o600, true);
const changeBytes = (tree: Tree): void => writeFile(tree, '/file', FORK_BYTES, BLOCK);

function sameTime(tree: Tree, host: HostTree, path: string): void {
  const { mtimeNs } = fs.statSync(host.at(path), { bigint: true });
  const { mtimeSeconds, mtimeNanoseconds } = stat(tree, path);
  assert.equal(BigInt(mtimeSeconds) * 1_000_000_000n + BigInt(mtimeNanoseconds), mtimeNs);
}

/** Asserts that the fork's own bytes are there, reading the host's is ESTALE, and size and name are the fork's. */
function isStale(tree: Tree): void {
  assert.deepEqual(rangeOf(tree, '/file', BLOCK, FORK_BYTES.length), FORK_BYTES);
  assert.equal(rangeOf(tree, '/file', 0, BLOCK), 'ESTALE');
  assert.equal(rangeOf(tree, '/file', 2 * BLOCK, 10), 'ESTALE');
  assert.equal(stat(tree, '/file').size, FILE_BYTES);
  assert.ok(namesIn(tree).includes('file'));
}

/** Asserts that the file has the content that the fork gave it. */
function isForks(tree: Tree): void {
  assert.deepEqual(contentOf(tree, '/file'), mixedBytes);
  assert.equal(stat(tree, '/file').size, FILE_BYTES);
}

describe('a file is written in place on the host', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => host.write('file', laterBytes);

  test('not touched in the fork: new bytes, size and times', (context) =>
    play(context, {
      change,
      holds(tree, host) {
        assert.deepEqual(contentOf(tree, '/file'), laterBytes);
        assert.equal(stat(tree, '/file').size, laterBytes.length);
        sameTime(tree, host, '/file');
      },
    }));

  test('attributes changed in the fork: new bytes, size and times under them', (context) =>
    play(context, {
      before: changeAttributes,
      change,
      holds(tree, host) {
        assert.deepEqual(contentOf(tree, '/file'), laterBytes);
        assert.equal(stat(tree, '/file').size, laterBytes.length);
        assert.equal(stat(tree, '/file').mode, 0o100600);
        sameTime(tree, host, '/file');
      },
    }));

  test('bytes changed in the fork: the other bytes of the file are ESTALE', (context) =>
    play(context, { before: changeBytes, change, holds: isStale, stale: '/file' }));

  test('bytes changed in the fork, pinned: nothing changes', (context) =>
    play(context, { isPinned: true, before: changeBytes, change, holds: isForks }));

  test('it becomes shorter: reads end where the file does', (context) =>
    play(context, {
      before: changeAttributes,
      change: (host) => fs.truncateSync(host.at('file'), 100),
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/file'), hostBytes.subarray(0, 100));
        assert.equal(rangeOf(tree, '/file', BLOCK, 10).length, 0);
      },
    }));
});

describe('a file is replaced on the host', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => host.replace('file');

  test('not touched in the fork: the new file, with another inode number', async (context) => {
    let before = 0;
    await play(context, {
      before: (tree) => {
        before = stat(tree, '/file').ino;
      },
      change,
      holds(tree, host) {
        assert.deepEqual(contentOf(tree, '/file'), laterBytes);
        assert.notEqual(stat(tree, '/file').ino, before);
        sameTime(tree, host, '/file');
      },
    });
  });

  test('attributes changed in the fork: the bytes of the new file under them, and the same number', async (context) => {
    let before = 0;
    await play(context, {
      before: (tree) => {
        changeAttributes(tree);
        before = stat(tree, '/file').ino;
      },
      change,
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/file'), laterBytes);
        assert.equal(stat(tree, '/file').mode, 0o100600);
        assert.equal(stat(tree, '/file').ino, before);
      },
    });
  });

  test('bytes changed in the fork: ESTALE', (context) =>
    play(context, { before: changeBytes, change, holds: isStale, stale: '/file' }));

  test('bytes changed in the fork, pinned: nothing changes', (context) =>
    play(context, { isPinned: true, before: changeBytes, change, holds: isForks }));
});

describe('a file is removed on the host', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => host.remove('file');

  test('not touched in the fork: it is gone', (context) =>
    play(context, {
      change,
      holds(tree) {
        assert.equal(contentOf(tree, '/file'), 'ENOENT');
        assert.deepEqual(namesIn(tree), ['directory']);
      },
    }));

  test('attributes changed in the fork: name and attributes stay, reading is ESTALE', (context) =>
    play(context, {
      before: changeAttributes,
      change,
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['directory', 'file']);
        assert.equal(stat(tree, '/file').mode, 0o100600);
        assert.equal(contentOf(tree, '/file'), 'ESTALE');
      },
    }));

  test('bytes changed in the fork: ESTALE', (context) =>
    play(context, { before: changeBytes, change, holds: isStale, stale: '/file' }));

  test('bytes changed in the fork, pinned: nothing changes', (context) =>
    play(context, { isPinned: true, before: changeBytes, change, holds: isForks }));

  test('it comes back: it is there again', (context) =>
    play(context, {
      before: changeAttributes,
      change: (host) => {
        host.remove('file');
        host.write('file', 'another');
      },
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/file'), Buffer.from('another'));
        assert.equal(stat(tree, '/file').mode, 0o100600);
      },
    }));
});

describe('only attributes of a file change on the host', { skip: nativeOnly }, () => {
  const changes: readonly (readonly [string, (host: HostTree) => void])[] = [
    ['its mode', (host) => fs.chmodSync(host.at('file'), 0o640)],
    ['its times', (host) => fs.utimesSync(host.at('file'), 1000, 2000)],
    ['its links', (host) => fs.linkSync(host.at('file'), host.at('second'))],
  ];
  for (const [name, change] of changes) {
    test(`${name}, not touched in the fork: the new attributes`, (context) =>
      play(context, {
        change,
        holds(tree, host) {
          const { mode, nlink, mtimeMs } = fs.statSync(host.at('file'));
          const found = stat(tree, '/file');
          assert.deepEqual(
            [found.mode, found.nlink, found.mtimeSeconds],
            [mode, nlink, Math.floor(mtimeMs / 1000)],
          );
          assert.deepEqual(contentOf(tree, '/file'), hostBytes);
        },
      }));

    test(`${name}, attributes changed in the fork: the fork's`, async (context) => {
      let seconds = 0;
      await play(context, {
        before: (tree) => {
          changeAttributes(tree);
          seconds = stat(tree, '/file').mtimeSeconds;
        },
        change,
        holds(tree) {
          assert.deepEqual([stat(tree, '/file').mode, stat(tree, '/file').mtimeSeconds], [0o100600, seconds]);
          assert.deepEqual(contentOf(tree, '/file'), hostBytes);
        },
      });
    });

    test(`${name}, bytes changed in the fork: ESTALE`, (context) =>
      play(context, { before: changeBytes, change, holds: isStale, stale: '/file' }));

    test(`${name}, bytes changed in the fork, pinned: the fork's`, (context) =>
      play(context, { isPinned: true, before: changeBytes, change, holds: isForks }));
  }

  test('its owner changes', { skip: process.getuid?.() !== 0 && 'needs root' }, (context) =>
    play(context, {
      change: (host) => fs.chownSync(host.at('file'), 1234, 4321),
      holds(tree) {
        assert.deepEqual([stat(tree, '/file').uid, stat(tree, '/file').gid], [1234, 4321]);
      },
    }),
  );
});

describe('a file becomes a directory on the host, and the other way round', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => {
    host.remove('file');
    host.write('file/below', 'below');
  };

  test('not touched in the fork: the new directory', (context) =>
    play(context, {
      change,
      holds(tree) {
        assert.equal(stat(tree, '/file').mode & 0o170000, 0o040000);
        assert.deepEqual(contentOf(tree, '/file/below'), Buffer.from('below'));
      },
    }));

  test('attributes changed in the fork: reading is ESTALE', (context) =>
    play(context, {
      before: changeAttributes,
      change,
      holds(tree) {
        assert.equal(contentOf(tree, '/file'), 'ESTALE');
        assert.equal(stat(tree, '/file').mode, 0o100600);
        assert.equal(contentOf(tree, '/file/below'), 'ENOTDIR');
      },
    }));

  test('bytes changed in the fork: ESTALE', (context) =>
    play(context, { before: changeBytes, change, holds: isStale, stale: '/file' }));

  test('bytes changed in the fork, pinned: nothing changes', (context) =>
    play(context, { isPinned: true, before: changeBytes, change, holds: isForks }));

  test('a directory not touched in the fork becomes a file: the file', (context) =>
    play(context, {
      change: (host) => {
        host.remove('directory');
        host.write('directory', 'a file now');
      },
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/directory'), Buffer.from('a file now'));
        assert.equal(contentOf(tree, '/directory/inner'), 'ENOTDIR');
      },
    }));

  test('a directory in which the fork has recorded a file stays a directory, with that file alone', (context) =>
    play(context, {
      before: (tree) => writeFile(tree, '/directory/own', FORK_BYTES),
      change: (host) => {
        host.remove('directory');
        host.write('directory', 'a file now');
      },
      holds(tree) {
        assert.deepEqual(namesIn(tree, '/directory'), ['own']);
        assert.deepEqual(contentOf(tree, '/directory/own'), FORK_BYTES);
        assert.equal(contentOf(tree, '/directory/inner'), 'ENOENT');
      },
    }));
});

describe('a name is added on the host', { skip: nativeOnly }, () => {
  test('it appears', (context) =>
    play(context, {
      change: (host) => {
        host.write('new', 'new');
        host.write('directory/new', 'new too');
      },
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['directory', 'file', 'new']);
        assert.deepEqual(namesIn(tree, '/directory'), ['inner', 'new']);
        assert.deepEqual(contentOf(tree, '/directory/new'), Buffer.from('new too'));
      },
    }));

  test('a name that the fork has removed stays removed', (context) =>
    play(context, {
      before: (tree) => tree.fileSystem.unlink('/file'),
      change: (host) => host.replace('file'),
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['directory']);
        assert.equal(contentOf(tree, '/file'), 'ENOENT');
      },
    }));

  test('a name that the fork has renamed stays away, and the new name is the fork’s', (context) =>
    play(context, {
      before: (tree) => tree.fileSystem.rename('/file', '/moved'),
      change: (host) => host.write('another'),
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['another', 'directory', 'moved']);
        assert.deepEqual(contentOf(tree, '/moved'), hostBytes);
      },
    }));

  test('a name that the fork has made: the fork’s file stays', (context) =>
    play(context, {
      before: (tree) => writeFile(tree, '/new', FORK_BYTES),
      change: (host) => host.write('new', 'of the host'),
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/new'), FORK_BYTES);
        assert.deepEqual(namesIn(tree), ['directory', 'file', 'new']);
      },
    }));
});

describe('a directory is renamed on the host', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => fs.renameSync(host.at('directory'), host.at('renamed'));

  test('not touched in the fork: it shows under its new name', (context) =>
    play(context, {
      change,
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['file', 'renamed']);
        assert.equal(contentOf(tree, '/directory/inner'), 'ENOENT');
        assert.deepEqual(contentOf(tree, '/renamed/inner'), hostBytes);
      },
    }));

  test('with a file recorded in it: it stays, with that file alone', (context) =>
    play(context, {
      before: (tree) => writeFile(tree, '/directory/own', FORK_BYTES),
      change,
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/directory/own'), FORK_BYTES);
        assert.deepEqual(namesIn(tree), ['directory', 'file', 'renamed']);
        assert.deepEqual(namesIn(tree, '/directory'), ['own']);
        assert.equal(contentOf(tree, '/directory/inner'), 'ENOENT');
        assert.deepEqual(namesIn(tree, '/renamed'), ['inner']);
        assert.notEqual(stat(tree, '/renamed').ino, stat(tree, '/directory').ino);
      },
    }));

  test('a second fork, which has recorded nothing in it, shows it under its new name', async (context) => {
    const host = await HostTree.create(context);
    host.write('directory/inner');
    writeFile(host.fork('first'), '/directory/own', FORK_BYTES);
    const second = host.fork('second');
    change(host);
    assert.deepEqual(namesIn(second), ['renamed']);
    assert.deepEqual(contentOf(second, '/renamed/inner'), hostBytes);
    writeFile(second, '/renamed/own', FORK_BYTES);
    fs.renameSync(host.at('renamed'), host.at('directory'));
    assert.deepEqual(namesIn(second, '/directory'), ['inner']);
    assert.deepEqual(namesIn(second, '/renamed'), ['own']);
    assert.deepEqual(namesIn(host.engine.openTreeOf('first')!, '/directory'), ['inner', 'own']);
  });

  test('out of the tree, while the fork has it open: only the fork’s own files show in it', async (context) => {
    const host = await HostTree.create(context);
    host.write('directory/inner');
    const tree = host.fork();
    writeFile(tree, '/directory/own', FORK_BYTES);
    assert.deepEqual(namesIn(tree, '/directory'), ['inner', 'own']);
    const file = tree.fileSystem.open('/directory', fs.constants.O_DIRECTORY, 0);
    fs.renameSync(host.at('directory'), `${host.scratch}/outside`);
    fs.writeFileSync(`${host.scratch}/outside/secret`, 'secret');
    assert.deepEqual(namesIn(tree, '/directory'), ['own']);
    assert.equal(contentOf(tree, '/directory/secret'), 'ENOENT');
    assert.deepEqual(
      tree.fileSystem.openDirectoryEntries(file).map(({ name }) => name),
      ['own'],
    );
    tree.fileSystem.close(file);
  });
});

test('a link that the host adds to a file changed in the fork is a separate file', {
  skip: nativeOnly,
}, async (context) => {
  await play(context, {
    isPinned: true,
    before: changeBytes,
    change: (host) => fs.linkSync(host.at('file'), host.at('link')),
    holds(tree) {
      isForks(tree);
      assert.deepEqual(contentOf(tree, '/link'), hostBytes);
      assert.notEqual(stat(tree, '/link').ino, stat(tree, '/file').ino);
    },
  });
  const host = await HostTree.create(context);
  host.write('file');
  const tree = host.fork('fork', true);
  changeBytes(tree);
  fs.linkSync(host.at('file'), host.at('link'));
  tree.fileSystem.unlink('/link');
  isForks(tree);
});

describe('a file is renamed on the host', { skip: nativeOnly }, () => {
  const change = (host: HostTree): void => fs.renameSync(host.at('file'), host.at('moved'));

  test('not touched in the fork: it shows under its new name', async (context) => {
    let before = 0;
    await play(context, {
      before: (tree) => {
        before = stat(tree, '/file').ino;
      },
      change,
      holds(tree) {
        assert.deepEqual(namesIn(tree), ['directory', 'moved']);
        assert.deepEqual(contentOf(tree, '/moved'), hostBytes);
        assert.equal(stat(tree, '/moved').ino, before);
      },
    });
  });

  test('attributes changed in the fork: the old name is a removed file, the new name another file', (context) =>
    play(context, {
      before: changeAttributes,
      change,
      holds(tree) {
        assert.deepEqual(contentOf(tree, '/moved'), hostBytes);
        assert.equal(stat(tree, '/moved').mode, 0o100644);
        assert.equal(contentOf(tree, '/file'), 'ESTALE');
        assert.equal(stat(tree, '/file').mode, 0o100600);
        assert.notEqual(stat(tree, '/moved').ino, stat(tree, '/file').ino);
      },
    }));

  test('bytes changed in the fork: the old name is a removed file, and safe from the new name', (context) =>
    play(context, {
      before: changeBytes,
      change,
      holds(tree) {
        isStale(tree);
        if (namesIn(tree).includes('moved')) {
          assert.deepEqual(contentOf(tree, '/moved'), hostBytes);
          tree.fileSystem.unlink('/moved');
        }
      },
      stale: '/file',
    }));
});

describe('the directory itself is gone, or another one is in its place', { skip: nativeOnly }, () => {
  const away = (host: HostTree): void => fs.renameSync(host.root, `${host.scratch}/away`);
  const another = (host: HostTree): void => {
    away(host);
    fs.mkdirSync(host.root);
    host.write('file', 'of another tree');
  };

  for (const [name, change] of [
    ['gone', away],
    ['replaced', another],
  ] as const) {
    test(`${name}: untouched files are ESTALE, and the fork's own bytes are there`, async (context) => {
      const host = await HostTree.create(context);
      host.write('file');
      host.write('untouched');
      host.fork('fork').close();
      let tree = host.engine.openTree('fork');
      changeBytes(tree);
      writeFile(tree, '/own', FORK_BYTES);
      tree.close();
      await host.reopenStore();
      change(host);
      tree = host.engine.openTree('fork');
      assert.deepEqual(contentOf(tree, '/own'), FORK_BYTES);
      assert.deepEqual(rangeOf(tree, '/file', BLOCK, FORK_BYTES.length), FORK_BYTES);
      assert.equal(contentOf(tree, '/file'), 'ESTALE');
      assert.equal(contentOf(tree, '/untouched'), 'ESTALE');
      assert.equal(
        codeOf(() => namesIn(tree)),
        'ESTALE',
      );
      assert.throws(() => namesIn(tree), /put it back/);
      tree.close();
      assert.equal(problemsOf(host.engine).length, 1);
      fs.rmSync(host.root, { recursive: true, force: true });
      fs.renameSync(`${host.scratch}/away`, host.root);
      tree = host.engine.openTree('fork');
      assert.deepEqual(contentOf(tree, '/file'), mixedBytes);
      assert.deepEqual(contentOf(tree, '/untouched'), hostBytes);
      assert.deepEqual(problemsOf(host.engine), []);
    });

    test(`${name}, pinned: a changed file is the fork's`, async (context) => {
      const host = await HostTree.create(context);
      host.write('file');
      const first = host.fork('fork', true);
      changeBytes(first);
      first.close();
      await host.reopenStore();
      change(host);
      isForks(host.engine.openTree('fork'));
      assert.deepEqual(problemsOf(host.engine), []);
    });
  }
});

describe('a descriptor that was opened before', { skip: nativeOnly }, () => {
  test('reads the bytes that docs/host-trees.md gives for the time of the read', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    const { fileSystem } = host.fork();
    const file = fileSystem.open('/file', 0, 0);
    const bytes = Buffer.alloc(FILE_BYTES);
    assert.equal(fileSystem.read(file, bytes, 0, FILE_BYTES, 0), FILE_BYTES);
    await afterAWhile();
    host.write('file', laterBytes);
    assert.equal(fileSystem.statFile(file).size, laterBytes.length);
    fileSystem.read(file, bytes, 0, FILE_BYTES, 0);
    assert.deepEqual(bytes, laterBytes.subarray(0, FILE_BYTES));
    fileSystem.close(file);
  });

  test('gets the present attributes, not those that an earlier listing saw', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    const { fileSystem } = host.fork();
    const file = fileSystem.open('/file', 0, 0);
    fileSystem.readDirectory('/');
    assert.equal(
      codeOf(() => fileSystem.makeDirectory('/file', 0o755)),
      'EEXIST',
    );
    fileSystem.statFile(file);
    fileSystem.rename('/file', '/file');
    fileSystem.readDirectory('/');
    await afterAWhile();
    host.write('file', laterBytes);
    assert.equal(fileSystem.statFile(file).size, laterBytes.length);
    fileSystem.close(file);
  });

  test('goes on reading a file that was removed, or replaced, while it is open', async (context) => {
    const host = await HostTree.create(context);
    for (const name of ['removed', 'replaced']) host.write(name);
    const { fileSystem } = host.fork();
    const bytes = Buffer.alloc(FILE_BYTES);
    const files = ['/removed', '/replaced'].map((path) => fileSystem.open(path, 0, 0));
    for (const file of files) fileSystem.read(file, bytes, 0, 1, 0);
    host.remove('removed');
    host.replace('replaced');
    for (const file of files) {
      bytes.fill(0);
      assert.equal(fileSystem.read(file, bytes, 0, FILE_BYTES, 0), FILE_BYTES);
      assert.deepEqual(bytes, hostBytes);
      fileSystem.close(file);
    }
  });
});

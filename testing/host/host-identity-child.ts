/**
 * For tests: forks of directories that look alike; each case runs in a mount namespace of its own. Arguments: the case,
 * and a directory to work in. Throws if an assertion fails.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { commitTree } from '../../src/lifecycle/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { importTree } from '../../src/transfer/index.ts';
import { OddServer } from '../fuse/odd-server.ts';
import { problemsOf, writeFile } from '../stores/shared-store.ts';
import { codeOf, contentOf, namesIn } from '../trees/host-tree.ts';
import { leaveMountsOfOthers } from './own-namespace.ts';

const [, , wanted = '', work = ''] = process.argv;
process.chdir(work);
const at = (path: string): string => `${work}/${path}`;
const run = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' });
const write = (path: string, text: string): void => fs.writeFileSync(at(path), text);
const bytes = (text: string): Buffer => Buffer.from(text);
const shown = (tree: Tree, path: string): string => contentOf(tree, path).toString();

/** Makes a directory of this name and mounts something on it. */
function mounted(name: string, ...args: string[]): void {
  fs.mkdirSync(at(name), { recursive: true });
  run('mount', ...args, at(name));
}

function image(name: string, ...mkfs: string[]): void {
  fs.closeSync(fs.openSync(at(name), 'w'));
  fs.truncateSync(at(name), (mkfs[0] === 'mkfs.btrfs' ? 120 : 16) * 2 ** 20);
  run(mkfs[0]!, ...mkfs.slice(1), at(name));
}

class Case {
  engine!: StoreEngine;

  async open(): Promise<void> {
    this.engine = await StoreEngine.open(at('store'), { create: true });
  }

  /** Opens the store again, which drops all caches. */
  async reopen(): Promise<void> {
    await this.engine.close();
    await this.open();
  }

  fork(directory: string, name: string): Tree {
    return this.engine.forkHost(at(directory), name, false);
  }

  /** Opens a tree, calls `see`, and closes the tree. */
  look<T>(name: string, see: (tree: Tree) => T): T {
    const tree = this.engine.openTree(name);
    try {
      return see(tree);
    } finally {
      tree.close();
    }
  }

  show(name: string, path: string): string {
    return this.look(name, (tree) => shown(tree, path));
  }
}

const cases: Record<string, (store: Case) => Promise<void>> = {
  async 'an image and its copy, at two places'(store) {
    image('a.img', 'mkfs.ext4', '-q');
    fs.copyFileSync(at('a.img'), at('b.img'));
    for (const name of ['a', 'b']) {
      mounted(name, '-o', 'loop', at(`${name}.img`));
      write(`${name}/f`, name);
      write(`${name}/kept`, `${name} kept`);
    }
    const [x, y] = [store.fork('a', 'x'), store.fork('b', 'y')];
    assert.deepEqual([shown(x, '/f'), shown(y, '/f')], ['a', 'b'], 'both open at once');
    // The files have the same host inode, birth time and size in both directories, but each has its own bytes.
    for (const tree of [x, y]) tree.fileSystem.chmod('/kept', 0o600, true);
    for (const tree of [x, y]) writeFile(tree, '/f', bytes('+'), 5000);
    for (const tree of [x, y]) tree.close();
    await store.reopen();
    assert.deepEqual([store.show('x', '/kept'), store.show('y', '/kept')], ['a kept', 'b kept']);
    assert.deepEqual([store.show('x', '/f').slice(0, 1), store.show('y', '/f').slice(0, 1)], ['a', 'b']);
  },

  async 'a copy of an image where the image was'(store) {
    image('a.img', 'mkfs.ext4', '-q');
    mounted('a', '-o', 'loop', at('a.img'));
    write('a/f', 'a');
    write('a/written', 'a'.repeat(5000));
    run('umount', at('a'));
    fs.copyFileSync(at('a.img'), at('b.img'));
    mounted('b', '-o', 'loop', at('b.img'));
    write('b/f', 'b');
    write('b/written', 'b'.repeat(5000));
    run('umount', at('b'));
    mounted('a', '-o', 'loop', at('a.img'));
    const tree = store.fork('a', 'x');
    writeFile(tree, '/written', bytes('X'), 0);
    assert.equal(shown(tree, '/f'), 'a');
    // The store holds the mount open, so the mount can only be detached from its path.
    run('umount', '-l', at('a'));
    mounted('a', '-o', 'loop', at('b.img'));
    const other = store.fork('a', 'y');
    assert.equal(shown(other, '/f'), 'b', 'what is at the place now');
    assert.equal(shown(tree, '/f'), 'b', 'for every fork of the place');
    assert.equal(
      shown(tree, '/written'),
      'ESTALE',
      'what was taken from the other file is not taken from this one',
    );
    assert.equal(shown(other, '/written'), 'b'.repeat(5000));
    for (const one of [tree, other]) one.close();
  },

  async 'another filesystem, made with the same birth, where one was'(store) {
    const uuids = ['5a1c2d30-0000-4000-8000-000000000001', '5a1c2d30-0000-4000-8000-000000000002'];
    // The roots of images that are made within one second have the same inode number and birth time.
    for (const [index, name] of ['a.img', 'b.img'].entries())
      image(
        name,
        'env',
        'SOURCE_DATE_EPOCH=1700000000',
        'E2FSPROGS_FAKE_TIME=1700000000',
        'mkfs.ext4',
        '-q',
        '-U',
        uuids[index]!,
      );
    mounted('b', '-o', 'loop', at('b.img'));
    write('b/f', 'b');
    const rootOfB = fs.statSync(at('b'), { bigint: true });
    run('umount', at('b'));
    mounted('a', '-o', 'loop', at('a.img'));
    const rootOfA = fs.statSync(at('a'), { bigint: true });
    assert.deepEqual(
      [rootOfA.ino, rootOfA.birthtimeNs],
      [rootOfB.ino, rootOfB.birthtimeNs],
      'as they were meant',
    );
    write('a/f', 'a');
    store.fork('a', 'x').close();
    await store.reopen();
    run('umount', at('a'));
    mounted('a', '-o', 'loop', at('b.img'));
    assert.equal(store.show('x', '/f'), 'ESTALE');
    const other = store.fork('a', 'y');
    assert.equal(shown(other, '/f'), 'b');
    other.close();
    run('umount', at('a'));
    mounted('a', '-o', 'loop', at('a.img'));
    assert.equal(store.show('x', '/f'), 'a', 'put back');
    assert.equal(store.show('y', '/f'), 'ESTALE');
  },

  async 'subvolumes and snapshots of btrfs'(store) {
    image('a.img', 'mkfs.btrfs', '-q');
    mounted('top', '-o', 'loop', at('a.img'));
    run('btrfs', 'subvolume', 'create', at('top/one'));
    write('top/one/f', 'old');
    write('top/one/g', 'old g');
    run('btrfs', 'subvolume', 'snapshot', at('top/one'), at('top/two'));
    write('top/one/f', 'one');
    write('top/two/f', 'two');
    // The roots have the same inode number and birth time, and so have the files.
    const forks = [
      store.fork('top/one', 'one'),
      store.fork('top/two', 'two'),
      store.fork('top', 'top'),
    ] as const;
    assert.deepEqual([shown(forks[0], '/f'), shown(forks[1], '/f')], ['one', 'two']);
    const [, , top] = forks;
    assert.deepEqual([shown(top, '/one/f'), shown(top, '/two/f')], ['one', 'two'], 'in one source');
    const inos = ['/one/f', '/two/f'].map((path) => top.fileSystem.stat(path, false).ino);
    assert.notEqual(inos[0], inos[1]);
    top.fileSystem.chmod('/one/f', 0o600, true);
    writeFile(top, '/two/f', bytes('T'), 0);
    for (const tree of forks) tree.close();
    await store.reopen();
    run('umount', at('top'));
    mounted('top', '-o', 'loop', at('a.img'));
    // btrfs gives device numbers to subvolumes in the order in which they are first used.
    fs.statSync(at('top/two/g'));
    fs.statSync(at('top/one/g'));
    assert.deepEqual([store.show('top', '/one/f'), store.show('top', '/two/f')], ['one', 'Two']);
    store.look('top', (tree) => {
      assert.equal(tree.fileSystem.stat('/one/f', false).mode, 0o100600);
      assert.deepEqual(
        ['/one/f', '/two/f'].map((path) => tree.fileSystem.stat(path, false).ino),
        inos,
      );
    });
    // A snapshot takes the path of a subvolume: the same inode number and birth time, but another directory.
    run('btrfs', 'subvolume', 'delete', at('top/one'));
    run('btrfs', 'subvolume', 'snapshot', at('top/two'), at('top/one'));
    assert.equal(store.show('one', '/f'), 'ESTALE');
    assert.equal(
      store.show('top', '/one/g'),
      'ENOENT',
      'which is not the one that something was recorded in',
    );
  },

  async 'a directory and a bind mount of it'(store) {
    for (const name of ['a', 'a/sub']) fs.mkdirSync(at(name));
    write('a/sub/f', 'f');
    mounted('b', '--bind', at('a'));
    const [x, y] = [store.fork('a', 'x'), store.fork('b', 'y')];
    assert.deepEqual([shown(x, '/sub/f'), shown(y, '/sub/f')], ['f', 'f']);
    writeFile(x, '/sub/f', bytes('X'), 0);
    assert.equal(shown(y, '/sub/f'), 'f');
    for (const tree of [x, y]) tree.close();
    run('umount', at('b'));
    assert.equal(store.show('x', '/sub/f'), 'X');
    assert.equal(store.show('y', '/sub/f'), 'ESTALE', 'nothing is mounted at its place');
    mounted('b', '--bind', at('a/sub'));
    assert.equal(store.show('y', '/f'), 'ESTALE', 'nor another directory');
  },

  async 'an overlay of filesystems whose files have the same inode numbers'(store) {
    for (const name of ['one', 'two']) {
      mounted(name, '-t', 'tmpfs', 'none');
      write(`${name}/${name}`, name);
      write(`${name}/${name}-linked`, `${name} linked`);
      fs.linkSync(at(`${name}/${name}-linked`), at(`${name}/${name}-again`));
    }
    mounted('upper', '-t', 'tmpfs', 'none');
    for (const name of ['upper/upper', 'upper/work']) fs.mkdirSync(at(name));
    const layers = `lowerdir=${at('one')}:${at('two')},upperdir=${at('upper/upper')},workdir=${at('upper/work')}`;
    for (const xino of ['on', 'off']) {
      mounted('merged', '-t', 'overlay', 'none', '-o', `${layers},xino=${xino}`);
      const numbers = ['one', 'two'].map((name) => fs.statSync(at(`merged/${name}`), { bigint: true }));
      assert.equal(
        numbers.some(({ ino }) => ino > Number.MAX_SAFE_INTEGER),
        xino === 'on',
        'as they were meant',
      );
      const tree = store.fork('merged', xino);
      const look = (of: Tree): void => {
        for (const name of ['one', 'two']) {
          assert.equal(shown(of, `/${name}`), name);
          assert.equal(shown(of, `/${name}-again`), `${name} linked`);
        }
        const inos = ['/one', '/two', '/one-linked', '/two-linked'].map(
          (path) => of.fileSystem.stat(path, false).ino,
        );
        assert.equal(new Set(inos).size, 4);
        assert.equal(of.fileSystem.stat('/one-again', false).ino, inos[2]);
      };
      look(tree);
      for (const name of ['/one', '/two', '/one-linked', '/two-linked'])
        tree.fileSystem.chmod(name, 0o600, true);
      look(tree);
      tree.close();
      const report = await importTree(store.engine, at('merged'), { name: `imported-${xino}` });
      assert.equal(report.hardLinks, 2);
      store.look(`imported-${xino}`, look);
      await store.reopen();
      run('umount', at('merged'));
      mounted('merged', '-t', 'overlay', 'none', '-o', `${layers},xino=${xino}`);
      store.look(xino, look);
      run('umount', at('merged'));
    }
  },

  async 'a tmpfs that was made again'(store) {
    mounted('a', '-t', 'tmpfs', 'none');
    write('a/f', 'first');
    fs.mkdirSync(at('a/d'));
    const tree = store.fork('a', 'x');
    writeFile(tree, '/new', bytes('own'));
    tree.fileSystem.chmod('/f', 0o600, true);
    tree.close();
    await store.reopen();
    run('umount', at('a'));
    mounted('a', '-t', 'tmpfs', 'none');
    write('a/f', 'second');
    assert.equal(store.show('x', '/f'), 'ESTALE');
    assert.equal(store.show('x', '/new'), 'own');
    store.look('x', (one) =>
      assert.equal(
        codeOf(() => namesIn(one)),
        'ESTALE',
      ),
    );
    const other = store.fork('a', 'y');
    assert.equal(shown(other, '/f'), 'second');
    other.close();
  },

  async 'a directory that was moved away, and another in its place'(store) {
    fs.mkdirSync(at('a'));
    write('a/f', 'first');
    await importTree(store.engine, at('a'), { name: 'base' });
    for (const name of ['x', 'y']) {
      const tree = name === 'x' ? store.fork('a', name) : store.engine.fork('base', name);
      writeFile(tree, '/new', bytes('own'));
      tree.close();
    }
    const held = store.fork('a', 'held');
    assert.equal(shown(held, '/f'), 'first');
    fs.renameSync(at('a'), at('b'));
    fs.mkdirSync(at('a'));
    write('a/f', 'second');
    const other = store.fork('a', 'z');
    assert.equal(shown(other, '/f'), 'second');
    assert.equal(store.show('x', '/f'), 'ESTALE');
    const moved = store.fork('b', 'moved');
    assert.equal(shown(moved, '/f'), 'first', 'at its new place it is a lower like any other');
    for (const tree of [held, other, moved]) tree.close();
    for (const name of ['x', 'y']) {
      await assert.rejects(commitTree(store.engine, name), { code: 'ESTALE', message: /--to/ });
      assert.deepEqual(fs.readdirSync(at('a')), ['f'], 'nothing came into the other directory');
    }
    const { isDone } = await commitTree(store.engine, 'y', { to: at('a') });
    assert.ok(isDone);
    assert.deepEqual(fs.readdirSync(at('a')), ['f', 'new'], 'which can be meant');
    fs.rmSync(at('a'), { recursive: true });
    fs.renameSync(at('b'), at('a'));
    await commitTree(store.engine, 'x');
    assert.deepEqual(fs.readdirSync(at('a')), ['f', 'new'], 'put back');
  },

  async 'inode numbers that are used again'(store) {
    image('a.img', 'mkfs.ext4', '-q');
    mounted('a', '-o', 'loop', at('a.img'));
    const tree = store.fork('a', 'x');
    const { fileSystem } = tree;
    write('a/f', 'the first');
    write('a/recorded', 'the second');
    for (const name of ['f', 'recorded']) {
      const before = fs.statSync(at(`a/${name}`)).ino;
      const file = fileSystem.open(`/${name}`, fs.constants.O_RDONLY, 0);
      if (name === 'recorded') fileSystem.chmod('/recorded', 0o600, true);
      fs.rmSync(at(`a/${name}`));
      write(`a/${name}-later`, 'of another file');
      assert.equal(fs.statSync(at(`a/${name}-later`)).ino, before, 'as it was meant');
      assert.equal(shown(tree, `/${name}-later`), 'of another file');
      assert.notEqual(
        fileSystem.stat(`/${name}-later`, false).ino,
        name === 'f' ? before : fileSystem.statFile(file).ino,
      );
      const read = codeOf(() => fileSystem.read(file, Buffer.alloc(20), 0, 20, 0));
      assert.equal(read, 'ESTALE', 'never the bytes of the file that has the number now');
      assert.equal(shown(tree, `/${name}`), name === 'f' ? 'ENOENT' : 'ESTALE');
      fileSystem.close(file);
    }
    tree.close();
  },

  async 'a FUSE server that knows no times of birth and gives numbers out again'(store) {
    const odd = new OddServer(at('odd'));
    const linked = { ino: 9, text: 'linked', nlink: 2 };
    odd.show({ files: { a: { ino: 7, text: 'of a' }, b: { ino: 8, text: 'of b' }, h1: linked, h2: linked } });
    await odd.start();
    try {
      const tree = store.fork('odd', 'x');
      const { fileSystem } = tree;
      const inoOf = (path: string): number => fileSystem.stat(path, false).ino;
      assert.equal(inoOf('/h1'), inoOf('/h2'), 'two names that are there now');
      fileSystem.chmod('/b', 0o600, true);
      const held = fileSystem.open('/a', fs.constants.O_RDONLY, 0);
      const before = inoOf('/a');
      odd.show({
        files: { c: { ino: 7, text: 'of c' }, d: { ino: 8, text: 'of d' }, k: { ino: 9, text: 'of k' } },
      });
      assert.deepEqual(
        ['/c', '/d', '/k'].map((path) => shown(tree, path)),
        ['of c', 'of d', 'of k'],
      );
      assert.notEqual(inoOf('/c'), before);
      assert.equal(fileSystem.stat('/d', false).mode, 0o100644, 'what was recorded of b is not of d');
      assert.equal(fileSystem.stat('/b', false).mode, 0o100600);
      assert.deepEqual(
        ['/a', '/b', '/h1'].map((path) => shown(tree, path)),
        ['ENOENT', 'ESTALE', 'ENOENT'],
      );
      assert.equal(
        codeOf(() => fileSystem.read(held, Buffer.alloc(9), 0, 9, 0)),
        'ESTALE',
      );
      fileSystem.close(held);
      tree.close();
      await store.reopen();
      odd.show({ files: { b: { ino: 7, text: 'again b' }, e: { ino: 8, text: 'of e' } } });
      store.look('x', (again) => {
        assert.deepEqual(
          ['/b', '/e'].map((path) => shown(again, path)),
          ['again b', 'of e'],
        );
        assert.deepEqual(
          ['/b', '/e'].map((path) => again.fileSystem.stat(path, false).mode & 0o777),
          [0o600, 0o644],
        );
      });
    } finally {
      await odd.end();
    }
  },
};

leaveMountsOfOthers();
const store = new Case();
await store.open();
await cases[wanted]!(store);
const problems = problemsOf(store.engine).filter((problem) => !/host file|host directory/.test(problem));
assert.deepEqual(problems, []);
await store.engine.close();

/**
 * The same calls on node:fs over the host and on a NodeFs must return, throw and reject the same: results, classes,
 * codes, messages and properties of errors. Each call gets a fresh tree: `d/sub` and `f` (5 bytes), links `lf` → f,
 * `l1` ⇄ `l2`.
 */
import assert from 'node:assert/strict';
import * as hostFs from 'node:fs';
import { test } from 'node:test';
import { HostDirectory, openTestTree } from '../../testing/stores/node-fs-fixture.ts';
import type { NodeFs } from './fs.ts';

/** Arguments of any kind, on purpose: `never` is accepted where the types would refuse the value. */
function wrong(value?: unknown): never {
  // The cast passes what the types forbid: the call must refuse it at run time.
  return value as never;
}

type Fs = Pick<NodeFs, keyof NodeFs & keyof typeof hostFs>;
type Call = (fs: Fs, at: (name: string) => string) => unknown;

const NOT_OPEN = 999;

const CALLS: Record<string, Call> = {
  'stat of nothing': (fs, at) => fs.statSync(at('no')),
  'stat of nothing, no throw': (fs, at) => fs.statSync(at('no'), { throwIfNoEntry: false }),
  'stat below a file': (fs, at) => fs.statSync(at('f/x')),
  'stat by bytes': (fs, at) => fs.statSync(Buffer.from(at('no'))),
  'stat by URL': (fs, at) => fs.statSync(new URL(`file://${at('no')}`)),
  'stat by http URL': (fs) => fs.statSync(new URL('http://host/x')),
  'stat by number': (fs) => fs.statSync(wrong(5)),
  'stat without path': (fs) => fs.statSync(wrong()),
  'stat of null byte': (fs) => fs.statSync('a\0b'),
  'stat of empty path': (fs) => fs.statSync(''),
  'lstat of nothing': (fs, at) => fs.lstatSync(at('no')),
  'stat of a loop': (fs, at) => fs.statSync(at('l1')),
  'fstat EBADF': (fs) => fs.fstatSync(NOT_OPEN),
  'fstat of text': (fs) => fs.fstatSync(wrong('a')),
  'fstat of -1': (fs) => fs.fstatSync(-1),
  'open of nothing': (fs, at) => fs.openSync(at('no'), 'r'),
  'open, bad flag': (fs, at) => fs.openSync(at('f'), 'q'),
  'open, fraction': (fs, at) => fs.openSync(at('f'), 1.5),
  'open, bad mode': (fs, at) => fs.openSync(at('f'), 'r', '9'),
  'open, mode below zero': (fs, at) => fs.openSync(at('f'), 'r', -1),
  'open directory to write': (fs, at) => fs.openSync(at('d'), 'w'),
  'open exclusive': (fs, at) => fs.openSync(at('f'), 'wx'),
  'readFile of nothing': (fs, at) => fs.readFileSync(at('no')),
  'readFile of directory': (fs, at) => fs.readFileSync(at('d')),
  'readFile of directory as text': (fs, at) => fs.readFileSync(at('d'), 'utf8'),
  'readFile as text': (fs, at) => fs.readFileSync(at('f'), 'utf8'),
  'readFile as hex': (fs, at) => fs.readFileSync(at('f'), { encoding: 'hex' }),
  'readFile, bad encoding': (fs, at) => fs.readFileSync(at('f'), wrong('zz')),
  'readFile, bad options': (fs, at) => fs.readFileSync(at('f'), wrong(5)),
  'readFile EBADF': (fs) => fs.readFileSync(NOT_OPEN),
  'readFile EBADF as text': (fs) => fs.readFileSync(NOT_OPEN, 'utf8'),
  'readFile of -1': (fs) => fs.readFileSync(-1),
  'readFile of boolean': (fs) => fs.readFileSync(wrong(true)),
  'writeFile below nothing': (fs, at) => fs.writeFileSync(at('no/x'), 'a'),
  'writeFile of directory': (fs, at) => fs.writeFileSync(at('d'), 'a'),
  'writeFile of number': (fs, at) => fs.writeFileSync(at('g'), wrong(5)),
  'writeFile, bad flush': (fs, at) => fs.writeFileSync(at('g'), 'a', { flush: wrong(1) }),
  'writeFile EBADF': (fs) => fs.writeFileSync(NOT_OPEN, 'a'),
  'writeFile exclusive': (fs, at) => fs.writeFileSync(at('f'), 'a', { flag: 'wx' }),
  'appendFile of directory': (fs, at) => fs.appendFileSync(at('d'), 'a'),
  'truncate of nothing': (fs, at) => fs.truncateSync(at('no'), 1),
  'truncate of directory': (fs, at) => fs.truncateSync(at('d'), 1),
  'truncate, text': (fs, at) => fs.truncateSync(at('f'), wrong('1')),
  'truncate, fraction': (fs, at) => fs.truncateSync(at('f'), 1.5),
  'truncate below zero': (fs, at) => {
    fs.truncateSync(at('f'), -5);
    return fs.statSync(at('f')).size;
  },
  'ftruncate EBADF': (fs) => fs.ftruncateSync(NOT_OPEN, 1),
  'ftruncate of a reader': (fs, at) => withFd(fs, at('f'), 'r', (fd) => fs.ftruncateSync(fd, 1)),
  'mkdir of something': (fs, at) => fs.mkdirSync(at('d')),
  'mkdir below nothing': (fs, at) => fs.mkdirSync(at('no/x')),
  'mkdir -p of directory': (fs, at) => fs.mkdirSync(at('d'), { recursive: true }),
  'mkdir -p of file': (fs, at) => fs.mkdirSync(at('f'), { recursive: true }),
  'mkdir -p below file': (fs, at) => fs.mkdirSync(at('f/x/y'), { recursive: true }),
  'mkdir -p returns the first': (fs, at) => fs.mkdirSync(at('p/q/r'), { recursive: true }),
  'mkdir -p with dots': (fs, at) => fs.mkdirSync(at('p3/../p4//q/'), { recursive: true }),
  'mkdir -p of a loop': (fs, at) => fs.mkdirSync(at('l1'), { recursive: true }),
  'mkdir -p below a loop': (fs, at) => fs.mkdirSync(at('l1/x'), { recursive: true }),
  'mkdir, bad recursive': (fs, at) => fs.mkdirSync(at('z'), { recursive: wrong(1) }),
  'mkdtemp below nothing': (fs, at) => fs.mkdtempSync(at('no/x')),
  'mkdtemp of number': (fs) => fs.mkdtempSync(wrong(5)),
  'rmdir of nothing': (fs, at) => fs.rmdirSync(at('no')),
  'rmdir of file': (fs, at) => fs.rmdirSync(at('f')),
  'rmdir of full': (fs, at) => fs.rmdirSync(at('d')),
  'rm of nothing': (fs, at) => fs.rmSync(at('no')),
  'rm of nothing, force': (fs, at) => fs.rmSync(at('no'), { force: true }),
  'rm below file, force': (fs, at) => fs.rmSync(at('f/x'), { force: true }),
  'rm of directory': (fs, at) => fs.rmSync(at('d')),
  'rm -r': (fs, at) => {
    fs.rmSync(at('d'), { recursive: true });
    return fs.existsSync(at('d'));
  },
  'rm -r of a link with a slash': (fs, at) => {
    fs.symlinkSync('d', at('ld'));
    try {
      fs.rmSync(at('ld/'), { recursive: true });
    } finally {
      fs.statSync(at('d/sub'));
    }
  },
  'rm -r of a link': (fs, at) => {
    fs.symlinkSync('d', at('ld'));
    fs.rmSync(at('ld'), { recursive: true });
    return [fs.existsSync(at('ld')), fs.existsSync(at('d/sub'))];
  },
  'readdir -r through a link': (fs, at) => {
    fs.symlinkSync('d', at('ld'));
    return fs.readdirSync(at(''), { recursive: true });
  },
  'rm, bad recursive': (fs, at) => fs.rmSync(at('f'), { recursive: wrong(1) }),
  'rm, bad retries': (fs, at) => fs.rmSync(at('f'), { maxRetries: -1 }),
  'rm, bad options': (fs, at) => fs.rmSync(at('f'), wrong(5)),
  'unlink of nothing': (fs, at) => fs.unlinkSync(at('no')),
  'unlink of directory': (fs, at) => fs.unlinkSync(at('d')),
  'readdir of nothing': (fs, at) => fs.readdirSync(at('no')),
  'readdir of file': (fs, at) => fs.readdirSync(at('f')),
  'readdir is sorted': (fs, at) => fs.readdirSync(at('')),
  'readdir as bytes': (fs, at) => fs.readdirSync(at('d'), 'buffer'),
  'readdir -r': (fs, at) => fs.readdirSync(at(''), { recursive: true }),
  'readdir -r with types': (fs, at) =>
    fs.readdirSync(at(''), { recursive: true, withFileTypes: true }).map((entry) => entry.name),
  'readdir -r as bytes': (fs, at) => fs.readdirSync(at(''), wrong({ recursive: true, encoding: 'buffer' })),
  'readdir, bad recursive': (fs, at) => fs.readdirSync(at('d'), wrong({ recursive: 1 })),
  'rename of nothing': (fs, at) => fs.renameSync(at('no'), at('x')),
  'rename into itself': (fs, at) => fs.renameSync(at('d'), at('d/sub/x')),
  'rename onto its own parent': (fs, at) => {
    fs.writeFileSync(at('d/x'), '');
    fs.renameSync(at('d/x'), at('d'));
  },
  'rename to dots': (fs, at) => fs.renameSync(at('no/'), at('d/..')),
  'rename of file with a slash': (fs, at) => fs.renameSync(at('f/'), at('x')),
  'rename of link with a slash': (fs, at) => fs.renameSync(at('lf/'), at('x')),
  'rename of file to a slash': (fs, at) => fs.renameSync(at('f'), at('x/')),
  'rename of directory to a slash': (fs, at) => {
    fs.renameSync(at('d/'), at('x/'));
    return fs.readdirSync(at(''));
  },
  'open new with a slash': (fs, at) => fs.openSync(at('x/'), 'w'),
  'open directory with a slash to append': (fs, at) => fs.openSync(at('d/'), 'a'),
  'open through a link with a slash at its end': (fs, at) => {
    fs.symlinkSync('x/', at('lx'));
    fs.openSync(at('lx'), 'w');
  },
  'mkdir of file with a slash': (fs, at) => fs.mkdirSync(at('f/')),
  'mkdir of link with a slash': (fs, at) => fs.mkdirSync(at('l1/')),
  'unlink of file with a slash': (fs, at) => fs.unlinkSync(at('f/')),
  'unlink of link with a slash': (fs, at) => fs.unlinkSync(at('lf/')),
  'unlink of dots': (fs, at) => fs.unlinkSync(at('d/sub/..')),
  'rmdir of dots': (fs, at) => fs.rmdirSync(at('d/sub/..')),
  'rmdir of dot': (fs, at) => fs.rmdirSync(at('d/.')),
  'rename of number': (fs, at) => fs.renameSync(wrong(5), at('x')),
  'rename to number': (fs, at) => fs.renameSync(at('x'), wrong(5)),
  'link of nothing': (fs, at) => fs.linkSync(at('no'), at('x')),
  'link of directory': (fs, at) => fs.linkSync(at('d'), at('x')),
  'link of number': (fs, at) => fs.linkSync(wrong(5), at('x')),
  'symlink over something': (fs, at) => fs.symlinkSync('t', at('f')),
  'symlink of nothing': (fs, at) => fs.symlinkSync('', at('x')),
  'symlink of number': (fs, at) => fs.symlinkSync(wrong(5), at('x')),
  'readlink of nothing': (fs, at) => fs.readlinkSync(at('no')),
  'readlink of file': (fs, at) => fs.readlinkSync(at('f')),
  readlink: (fs, at) => fs.readlinkSync(at('lf')),
  'readlink as bytes': (fs, at) => fs.readlinkSync(at('lf'), 'buffer'),
  'realpath of nothing': (fs, at) => fs.realpathSync(at('no/x')),
  'realpath native of nothing': (fs, at) => fs.realpathSync.native(at('no/x')),
  'realpath of a loop': (fs, at) => fs.realpathSync(at('l1')),
  'realpath native of a loop': (fs, at) => fs.realpathSync.native(at('l1')),
  'realpath below file': (fs, at) => fs.realpathSync(at('f/x')),
  'realpath of a link': (fs, at) => fs.realpathSync(at('d/../lf')),
  'copyFile of nothing': (fs, at) => fs.copyFileSync(at('no'), at('x')),
  'copyFile exclusive': (fs, at) => fs.copyFileSync(at('f'), at('lf'), hostFs.constants.COPYFILE_EXCL),
  'copyFile of directory': (fs, at) => fs.copyFileSync(at('d'), at('x')),
  'copyFile onto directory': (fs, at) => fs.copyFileSync(at('f'), at('d')),
  'copyFile onto itself': (fs, at) => {
    fs.copyFileSync(at('f'), at('lf'));
    return fs.readFileSync(at('f'), 'utf8');
  },
  'copyFile, text mode': (fs, at) => fs.copyFileSync(at('f'), at('x'), wrong('a')),
  'copyFile, mode 8': (fs, at) => fs.copyFileSync(at('f'), at('x'), 8),
  'access of nothing': (fs, at) => fs.accessSync(at('no')),
  'access, text mode': (fs, at) => fs.accessSync(at('f'), wrong('a')),
  'access, mode 8': (fs, at) => fs.accessSync(at('f'), 8),
  'access to run': (fs, at) => fs.accessSync(at('f'), hostFs.constants.X_OK),
  'exists of number': (fs) => fs.existsSync(wrong(5)),
  'chmod of nothing': (fs, at) => fs.chmodSync(at('no'), 0),
  'chmod without mode': (fs, at) => fs.chmodSync(at('f'), wrong()),
  'fchmod EBADF': (fs) => fs.fchmodSync(NOT_OPEN, 0o644),
  'chown of nothing': (fs, at) => fs.chownSync(at('no'), 0, 0),
  'chown of text': (fs, at) => fs.chownSync(at('f'), wrong('a'), 0),
  'chown of -2': (fs, at) => fs.chownSync(at('f'), -2, 0),
  'lchown of nothing': (fs, at) => fs.lchownSync(at('no'), 0, 0),
  'fchown EBADF': (fs) => fs.fchownSync(NOT_OPEN, 0, 0),
  'utimes of nothing': (fs, at) => fs.utimesSync(at('no'), 1, 1),
  'utimes of text': (fs, at) => fs.utimesSync(at('f'), 'x', 1),
  'futimes EBADF': (fs) => fs.futimesSync(NOT_OPEN, 1, 1),
  'futimes of NaN': (fs) => fs.futimesSync(NOT_OPEN, Number.NaN, 1),
  'lutimes of nothing': (fs, at) => fs.lutimesSync(at('no'), 1, 1),
  'fsync EBADF': (fs) => fs.fsyncSync(NOT_OPEN),
  'fdatasync EBADF': (fs) => fs.fdatasyncSync(NOT_OPEN),
  'close EBADF': (fs) => fs.closeSync(NOT_OPEN),
  'close of text': (fs) => fs.closeSync(wrong('a')),
  'close of -1': (fs) => fs.closeSync(-1),
  'close of fraction': (fs) => fs.closeSync(1.5),
  'read EBADF': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1)),
  'read from text': (fs) => fs.readSync(wrong('a'), Buffer.alloc(1)),
  'read into number': (fs) => fs.readSync(NOT_OPEN, wrong(5)),
  'read with an offset only': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), wrong(0)),
  'read, offset beyond': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 2, 1, 0),
  'read, length beyond': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, 5, 0),
  'read, length below zero': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, -5, 0),
  'read, offset text': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), wrong('a'), 1, 0),
  'read into nothing': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(0), 0, 1, 0),
  'read of nothing': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, 0, 0),
  'read, position text': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, 1, wrong('a')),
  'read, position below': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, 1, -2),
  'read, position fraction': (fs) => fs.readSync(NOT_OPEN, Buffer.alloc(1), 0, 1, 1.5),
  'read of directory': (fs, at) => withFd(fs, at('d'), 'r', (fd) => fs.readSync(fd, Buffer.alloc(1))),
  'read with options': (fs, at) =>
    withFd(fs, at('f'), 'r', (fd) => {
      const buffer = Buffer.alloc(8);
      const count = fs.readSync(fd, buffer, { offset: 2, length: 3, position: 1 });
      return [count, buffer.toString('latin1')];
    }),
  'read into words': (fs, at) =>
    withFd(fs, at('f'), 'r', (fd) => {
      const words = new Uint16Array(4);
      return [fs.readSync(fd, words, 2, 4, 0n), [...words]];
    }),
  'readv of number': (fs) => fs.readvSync(NOT_OPEN, wrong(5)),
  'readv of numbers': (fs) => fs.readvSync(NOT_OPEN, wrong([5])),
  'readv EBADF': (fs) => fs.readvSync(NOT_OPEN, [Buffer.alloc(1)]),
  'write EBADF': (fs) => fs.writeSync(NOT_OPEN, Buffer.alloc(1)),
  'write of text EBADF': (fs) => fs.writeSync(NOT_OPEN, 'a'),
  'write of number': (fs) => fs.writeSync(NOT_OPEN, wrong(5)),
  'write to a reader': (fs, at) => withFd(fs, at('f'), 'r', (fd) => fs.writeSync(fd, 'a')),
  'write, offset beyond': (fs) => fs.writeSync(NOT_OPEN, Buffer.alloc(1), 2),
  'write, length beyond': (fs) => fs.writeSync(NOT_OPEN, Buffer.alloc(1), 0, 2),
  'write, length below zero': (fs) => fs.writeSync(NOT_OPEN, Buffer.alloc(1), 0, -2),
  'write of half a hex byte': (fs) => fs.writeSync(NOT_OPEN, 'abc', 0, 'hex'),
  'write with options': (fs, at) =>
    withFd(fs, at('f'), 'r+', (fd) => {
      const count = fs.writeSync(fd, Buffer.from('abcd'), wrong({ offset: 1, length: 2, position: 2 }));
      return [count, fs.readFileSync(at('f'), 'utf8')];
    }),
  'write of text at a position': (fs, at) =>
    withFd(fs, at('f'), 'r+', (fd) => [fs.writeSync(fd, 'ü', 3), fs.readFileSync(at('f'), 'latin1')]),
  'writev EBADF': (fs) => fs.writevSync(NOT_OPEN, [Buffer.alloc(1)]),
  'writev of nothing': (fs) => fs.writevSync(NOT_OPEN, []),
  'writev and readv': (fs, at) =>
    withFd(fs, at('f'), 'r+', (fd) => {
      const written = fs.writevSync(fd, [Buffer.from('ab'), Buffer.from('cdefg')], 1);
      const pieces = [Buffer.alloc(3), Buffer.alloc(9)];
      return [written, fs.readvSync(fd, pieces, 0), pieces.map(String)];
    }),
  'opendir of nothing': (fs, at) => fs.opendirSync(at('no')),
  'opendir of file': (fs, at) => fs.opendirSync(at('f')),
  'opendir, bad buffer size': (fs, at) => fs.opendirSync(at('d'), { bufferSize: 0 }),
  'read of a closed Dir': (fs, at) => {
    const directory = fs.opendirSync(at('d'));
    directory.closeSync();
    return directory.readSync();
  },
  'statfs of nothing': (fs, at) => fs.statfsSync(at('no')),
  // cpSync of a directory is left out: Node's error has the errno of EINVAL beside the code EISDIR.
  'cp of nothing': (fs, at) => fs.cpSync(at('no'), at('x')),
  'cp, bad options': (fs, at) => fs.cpSync(at('f'), at('x'), wrong(5)),
  'cp, bad force': (fs, at) => fs.cpSync(at('f'), at('x'), { force: wrong(1) }),
  'cp, two that exclude': (fs, at) =>
    fs.cpSync(at('f'), at('x'), { dereference: true, verbatimSymlinks: true }),
  'cp, filter with a promise': (fs, at) => fs.cpSync(at('f'), at('x'), { filter: wrong(async () => true) }),

  'promise: stat of nothing': (fs, at) => fs.promises.stat(at('no')),
  'promise: stat of number': (fs) => fs.promises.stat(wrong(5)),
  'promise: open of nothing': (fs, at) => fs.promises.open(at('no')),
  'promise: readFile of nothing': (fs, at) => fs.promises.readFile(at('no')),
  'promise: readFile of directory': (fs, at) => fs.promises.readFile(at('d')),
  'promise: readFile of descriptor': (fs) => fs.promises.readFile(wrong(NOT_OPEN)),
  'promise: writeFile below nothing': (fs, at) => fs.promises.writeFile(at('no/x'), 'a'),
  'promise: writeFile of number': (fs, at) => fs.promises.writeFile(at('x'), wrong(5)),
  'promise: mkdir -p': (fs, at) => fs.promises.mkdir(at('p/q'), { recursive: true }),
  'promise: rm of directory': (fs, at) => fs.promises.rm(at('d')),
  'promise: truncate of nothing': (fs, at) => fs.promises.truncate(at('no'), 1),
  'promise: realpath of nothing': (fs, at) => fs.promises.realpath(at('no/x')),
  'promise: opendir of nothing': (fs, at) => fs.promises.opendir(at('no')),
  'promise: access, text mode': (fs, at) => fs.promises.access(at('f'), wrong('a')),
  'promise: cp of directory': (fs, at) => fs.promises.cp(at('d'), at('x')),
  'promise: cp onto itself': (fs, at) => fs.promises.cp(at('f'), at('f')),
  'promise: cp into itself': (fs, at) => fs.promises.cp(at('d'), at('d/sub/x'), { recursive: true }),
  'promise: cp of directory onto file': (fs, at) => fs.promises.cp(at('d'), at('f'), { recursive: true }),
  'promise: cp of file onto directory': (fs, at) => fs.promises.cp(at('f'), at('d')),
  'promise: lchmod': (fs, at) => fs.promises.lchmod(at('f'), 0o644),
  'promise: readdir -r': async (fs, at) => (await fs.promises.readdir(at(''), { recursive: true })).sort(),
  'handle: closed': async (fs, at) => {
    const handle = await fs.promises.open(at('f'));
    await handle.close();
    await handle.close();
    return [handle.fd, await handle.stat()];
  },
  'handle: read into nothing': (fs, at) =>
    withHandle(fs, at('f'), (handle) => handle.read(Buffer.alloc(0), 0, 1)),
  'handle: read, offset below': (fs, at) =>
    withHandle(fs, at('f'), (handle) => handle.read(Buffer.alloc(2), -1)),
  'handle: read, length beyond': (fs, at) =>
    withHandle(fs, at('f'), (handle) => handle.read(Buffer.alloc(2), 0, 5)),
  'handle: write of number': (fs, at) => withHandle(fs, at('f'), (handle) => handle.write(wrong(5))),
  'handle: truncate, text': (fs, at) => withHandle(fs, at('f'), (handle) => handle.truncate(wrong('x'))),
  'handle: chmod, text': (fs, at) => withHandle(fs, at('f'), (handle) => handle.chmod('x')),
  'handle: utimes of object': (fs, at) => withHandle(fs, at('f'), (handle) => handle.utimes(wrong({}), 1)),
};

function withFd<T>(fs: Fs, path: string, flags: string, use: (fd: number) => T): T {
  const fd = fs.openSync(path, flags);
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
}

type Handle = Awaited<ReturnType<Fs['promises']['open']>>;

async function withHandle<T>(fs: Fs, path: string, use: (handle: Handle) => Promise<T>): Promise<T> {
  const handle = await fs.promises.open(path, 'r+');
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

/** What a call returned or threw, with ROOT in place of the path of the root. */
async function outcomeOf(fs: Fs, root: string, call: Call): Promise<unknown> {
  const clean = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value ?? 'nothing', (_key, part) => part).replaceAll(root, 'ROOT'));
  try {
    return { returned: clean(await call(fs, (name) => `${root}/${name}`)) };
  } catch (error) {
    assert.ok(error instanceof Error);
    const properties = { ...error, message: error.message, name: error.name };
    return { threw: clean(properties), isTypeError: error instanceof TypeError };
  }
}

function fillTree(fs: Fs, root: string): void {
  fs.mkdirSync(`${root}/d/sub`, { recursive: true });
  fs.writeFileSync(`${root}/f`, 'hello');
  fs.chmodSync(`${root}/f`, 0o644);
  fs.symlinkSync('f', `${root}/lf`);
  fs.symlinkSync('l1', `${root}/l2`);
  fs.symlinkSync('l2', `${root}/l1`);
}

/** The path without symlinks, which some hosts have above their temporary directory: realpath would resolve them. */
function realTemporary(host: HostDirectory): string {
  return hostFs.realpathSync(host.path);
}

/** Node 24 empties the directory that the link leads to before it fails; Ramet does what Node 20 does. */
const UNTIL_NODE_24 = new Set(['rm -r of a link with a slash']);
const NODE_MAJOR = Number(process.versions.node.split('.')[0]);

test('every call does what node:fs does', async (t) => {
  await using tree = await openTestTree();
  for (const [name, call] of Object.entries(CALLS)) {
    const skip = NODE_MAJOR >= 24 && UNTIL_NODE_24.has(name) && 'Node 24 does otherwise';
    await t.test(name, { skip }, async () => {
      using host = new HostDirectory();
      const hostRoot = realTemporary(host);
      fillTree(hostFs, hostRoot);
      tree.fs.mkdirSync('/tree');
      fillTree(tree.fs, '/tree');
      try {
        const expected = await outcomeOf(hostFs, hostRoot, call);
        assert.deepEqual(await outcomeOf(tree.fs, '/tree', call), expected);
      } finally {
        tree.fs.rmSync('/tree', { recursive: true });
      }
    });
  }
});

/** Every call of a `System` on real files, for each system. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { onPath } from '../../testing/host/by-path.ts';
import { type ErrorCode, isFsError } from '../base/index.ts';
import { FaultySystem } from './faulty.ts';
import { createBufferedSystem, createNativeSystem } from './index.ts';
import { type System, UTIME_NOW, UTIME_OMIT } from './system.ts';

const CREATE = constants.O_RDWR | constants.O_CREAT;
const native = createNativeSystem();
const buffered = createBufferedSystem();
assert.ok(!(native instanceof Error), 'the machine that runs the tests has libc through koffi');

const SYSTEMS: readonly [string, System][] = [
  ['native', native],
  ['buffered', buffered],
  ['faulty without faults', new FaultySystem(native)],
];

function fails(code: ErrorCode, syscall: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFsError(error), `an FsError, not ${String(error)}`);
    assert.equal(error.code, code);
    assert.equal(error.syscall, syscall);
    return true;
  };
}

for (const [name, system] of SYSTEMS) {
  describe(`System: ${name}`, () => {
    let directory: string;
    let file: string;
    let fd: number;

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'ramet-sys-'));
      file = join(directory, 'file');
      fd = system.open(file, CREATE, 0o600);
    });

    afterEach(() => {
      system.close(fd);
      rmSync(directory, { recursive: true });
    });

    const bytes = (path: string) => Buffer.from(path);
    const at = (base: string) => bytes(join(directory, base));
    const inDirectory = <T>(call: (opened: number) => T): T => onPath(system, directory, call);

    test('open makes a file with the given mode', () => {
      assert.equal(statSync(file).mode & 0o777, 0o600);
    });

    test('open of a missing file is ENOENT with the path', () => {
      const missing = join(directory, 'missing');
      assert.throws(
        () => system.open(missing, constants.O_RDONLY),
        (error) => fails('ENOENT', 'open')(error) && isFsError(error) && error.path === missing,
      );
    });

    test('descriptors are closed in child processes', () => {
      const flags = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').match(/flags:\s*([0-7]+)/);
      assert.notEqual(Number.parseInt(flags![1]!, 8) & 0o2000000, 0);
    });

    test('close of a closed descriptor is EBADF', () => {
      const other = system.open(file, constants.O_RDONLY);
      system.close(other);
      assert.throws(() => system.close(other), fails('EBADF', 'close'));
    });

    test('pwrite and pread move exactly the span of the array', () => {
      const source = Buffer.from('..hello..');
      system.pwrite(fd, source, 2, 5, 100);
      assert.equal(readFileSync(file).toString('latin1'), `${'\0'.repeat(100)}hello`);
      const target = Buffer.alloc(10, '.');
      assert.equal(system.pread(fd, target, 3, 5, 100), 5);
      assert.equal(target.toString(), '...hello..');
    });

    test('pread and pwrite take views inside larger buffers, and different ones in turn', () => {
      const whole = Buffer.alloc(8192, 'a');
      const view = whole.subarray(4096);
      view.fill('b');
      system.pwrite(fd, view, 1, 4, 0);
      system.pwrite(fd, whole, 1, 4, 4);
      const small = new Uint8Array(8);
      assert.equal(system.pread(fd, small, 0, 8, 0), 8);
      assert.equal(Buffer.from(small).toString(), 'bbbbaaaa');
    });

    test('reads into any address return all bytes and touch nothing else', () => {
      const bytes = Buffer.from(
        Uint8Array.from({ length: 600_001 }, (_, index) => (index * 7 + (index >> 8)) & 255),
      );
      system.pwrite(fd, bytes, 0, bytes.length, 0);
      for (const offset of [0, 1, 8, 16, 31, 32]) {
        for (const [position, length] of [
          [0, 4096],
          [5, 262_144],
          [1, 600_000],
          [300_000, 400_000],
          [600_001, 10_000],
        ] as const) {
          const want = bytes.subarray(position, position + length);
          const target = Buffer.alloc(offset + length + 1, '.');
          assert.equal(system.pread(fd, target, offset, length, position), want.length);
          assert.ok(target.subarray(offset, offset + want.length).equals(want), `${offset} ${position}`);
          assert.ok(
            target.subarray(offset + want.length).every((byte) => byte === 46),
            'nothing else is touched',
          );
          const tried = Buffer.alloc(offset + length);
          const count = system.tryPread(fd, tried, offset, length, position);
          if (count >= 0)
            assert.ok(tried.subarray(offset, offset + count).equals(want), `${offset} ${position}`);
        }
      }
    });

    test('preadAsync, pwriteAsync and dataSyncAsync do the same in the thread pool', async () => {
      const bytes = Buffer.alloc(300_000, 'a');
      const written = system.pwriteAsync(fd, bytes, 10, 299_000, 5);
      await written;
      await system.dataSyncAsync(fd);
      system.startWriteback(fd, 0, 300_000);
      assert.ok(readFileSync(file).equals(Buffer.concat([Buffer.alloc(5), bytes.subarray(10, 299_010)])));
      await system.pwriteAsync(fd, bytes, 0, 0, 0);
      const target = Buffer.alloc(400_000, 'b');
      assert.equal(await system.preadAsync(fd, target, 7, 399_000, 5), 299_000);
      assert.ok(
        target.equals(
          Buffer.concat([Buffer.alloc(7, 'b'), bytes.subarray(0, 299_000), Buffer.alloc(100_993, 'b')]),
        ),
      );
      await assert.rejects(system.preadAsync(9999, bytes, 0, 1, 0), fails('EBADF', 'pread'));
      await assert.rejects(system.preadAsync(fd, bytes, 0, bytes.length + 1, 0), /internal invariant/);
      await assert.rejects(system.pwriteAsync(9999, bytes, 0, 1, 0), fails('EBADF', 'pwrite'));
      await assert.rejects(system.dataSyncAsync(9999), fails('EBADF', 'fdatasync'));
      await assert.rejects(system.pwriteAsync(fd, bytes, 0, bytes.length + 1, 0), /internal invariant/);
      system.startWriteback(9999, 0, 1);
    });

    test('pread is short only at the end of the file', () => {
      system.pwrite(fd, Buffer.from('abc'), 0, 3, 0);
      const target = Buffer.alloc(16);
      assert.equal(system.pread(fd, target, 0, 16, 1), 2);
      assert.equal(target.toString('latin1', 0, 3), 'bc\0');
      assert.equal(system.pread(fd, target, 0, 16, 3), 0);
      assert.equal(system.pread(fd, target, 0, 16, 1000), 0);
    });

    test('transfers of 0 bytes do nothing', () => {
      system.pwrite(fd, new Uint8Array(0), 0, 0, 0);
      system.pwrite(fd, Buffer.from('x'), 1, 0, 50);
      assert.equal(system.pread(fd, new Uint8Array(0), 0, 0, 0), 0);
      assert.equal(system.tryPread(fd, new Uint8Array(0), 0, 0, 0), 0);
      assert.equal(statSync(file).size, 0);
    });

    test('a span outside its array is refused before anything happens', () => {
      const array = Buffer.alloc(8);
      for (const [offset, length] of [
        [0, 9],
        [8, 1],
        [-1, 2],
        [2, -1],
      ] as const) {
        assert.throws(() => system.pread(fd, array, offset, length, 0), /internal invariant/);
        assert.throws(() => system.pwrite(fd, array, offset, length, 0), /internal invariant/);
      }
      assert.equal(statSync(file).size, 0);
    });

    test('a detached array is refused', () => {
      const array = new Uint8Array(4096);
      system.pwrite(fd, array, 0, 4096, 0);
      structuredClone(array, { transfer: [array.buffer] });
      assert.throws(() => system.pread(fd, array, 0, 4096, 0), /internal invariant/);
    });

    test('transfers on a bad descriptor are EBADF', () => {
      const reader = system.open(file, constants.O_RDONLY);
      assert.throws(() => system.pwrite(reader, Buffer.alloc(1), 0, 1, 0), fails('EBADF', 'pwrite'));
      system.close(reader);
      assert.throws(() => system.pread(reader, Buffer.alloc(1), 0, 1, 0), fails('EBADF', 'pread'));
    });

    test('positions beyond 2^32 are kept', () => {
      const far = 2 ** 40 + 5;
      system.pwrite(fd, Buffer.from('far'), 0, 3, far);
      assert.equal(system.fileSize(fd).sizeBytes, far + 3);
      const target = Buffer.alloc(3);
      assert.equal(system.pread(fd, target, 0, 3, far), 3);
      assert.equal(target.toString(), 'far');
    });

    test('tryPread reads cached bytes, or returns that it would wait', () => {
      system.pwrite(fd, Buffer.from('cached'), 0, 6, 0);
      const target = Buffer.alloc(10, '.');
      const count = system.tryPread(fd, target, 1, 8, 0);
      if (system.kind === 'buffered') {
        assert.equal(count, -1);
      } else {
        assert.equal(count, 6);
        assert.equal(target.toString(), '.cached...');
        assert.equal(system.tryPread(fd, target, 0, 5, 100), 0);
      }
    });

    test('allocate grows the file, backs it with space and keeps its bytes', () => {
      system.pwrite(fd, Buffer.from('head'), 0, 4, 0);
      system.pwrite(fd, Buffer.from('tail'), 0, 4, 100_000);
      system.allocate(fd, 0, 300_000);
      const size = system.fileSize(fd);
      assert.equal(size.sizeBytes, 300_000);
      assert.ok(size.allocatedBytes >= 300_000, `${size.allocatedBytes} bytes are allocated`);
      const expected = Buffer.alloc(300_000);
      expected.write('head');
      expected.write('tail', 100_000);
      assert.ok(readFileSync(file).equals(expected));
    });

    test('allocate inside the file does not shrink it; allocating 0 bytes does nothing', () => {
      system.truncate(fd, 1_000_000);
      system.allocate(fd, 8192, 4096);
      assert.equal(system.fileSize(fd).sizeBytes, 1_000_000);
      assert.ok(system.fileSize(fd).allocatedBytes >= 4096);
      system.allocate(fd, 2_000_000, 0);
      assert.equal(system.fileSize(fd).sizeBytes, 1_000_000);
    });

    test('punch gives space back, or returns that it cannot', () => {
      system.pwrite(fd, Buffer.alloc(65_536, 1), 0, 65_536, 0);
      system.fullSync(fd);
      const before = system.fileSize(fd).allocatedBytes;
      const punched = system.punch(fd, 4096, 8192);
      const expected = Buffer.alloc(65_536, 1);
      if (punched) expected.fill(0, 4096, 12_288);
      assert.ok(readFileSync(file).equals(expected));
      if (punched) assert.ok(system.fileSize(fd).allocatedBytes <= before - 8192);
      assert.equal(punched, system.kind === 'native');
    });

    test('truncate cuts and grows; on a bad descriptor it fails', () => {
      system.pwrite(fd, Buffer.from('abcdef'), 0, 6, 0);
      system.truncate(fd, 3);
      system.truncate(fd, 5);
      assert.equal(readFileSync(file).toString('latin1'), 'abc\0\0');
      const reader = system.open(file, constants.O_RDONLY);
      assert.throws(() => system.truncate(reader, 0), fails('EINVAL', 'ftruncate'));
      system.close(reader);
    });

    test('dataSync, fullSync and syncDirectory succeed on real files and fail on others', () => {
      system.pwrite(fd, Buffer.from('x'), 0, 1, 0);
      system.dataSync(fd);
      system.fullSync(fd);
      system.syncDirectory(directory);
      assert.throws(() => system.dataSync(9999), fails('EBADF', 'fdatasync'));
      assert.throws(() => system.fullSync(9999), fails('EBADF', 'fsync'));
      assert.throws(() => system.syncDirectory(file), fails('ENOTDIR', 'open'));
    });

    test('fileSize of a bad descriptor is EBADF', () => {
      assert.throws(
        () => system.fileSize(9999),
        (error) => isFsError(error, 'EBADF'),
      );
    });

    test('a lock conflicts between two opens and goes with unlock and with close', () => {
      const other = system.open(file, CREATE);
      assert.equal(system.tryLock(fd), true);
      assert.equal(system.tryLock(fd), true);
      assert.equal(system.tryLock(other), false);
      system.unlock(fd);
      assert.equal(system.tryLock(other), true);
      assert.equal(system.tryLock(fd), false);
      system.close(other);
      assert.equal(system.tryLock(fd), true);
      system.unlock(fd);
      assert.deepEqual(readdirSync(directory), ['file']);
      assert.throws(() => system.tryLock(9999), fails('EBADF', 'flock'));
      assert.throws(() => system.unlock(9999), fails('EBADF', 'flock'));
    });

    test('lock waits for the process that holds it, while it lives', async () => {
      const door = JSON.stringify(new URL('./index.js', import.meta.url).href);
      const script = `import(${door}).then(({ createSystem }) => {
        const system = createSystem('${system.kind}');
        system.lock(system.open(${JSON.stringify(file)}, ${CREATE}));
        process.stdout.write('locked');
        setTimeout(() => process.kill(process.pid, 'SIGKILL'), 300);
      });`;
      const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(holder, 'exit');
      await once(holder.stdout, 'data');
      assert.equal(system.tryLock(fd), false);
      system.lock(fd);
      const other = system.open(file, CREATE);
      assert.equal(system.tryLock(other), false);
      system.unlock(fd);
      system.lock(other);
      system.close(other);
      assert.throws(() => system.lock(9999), fails('EBADF', 'flock'));
      await exited;
    });

    test('rename and unlink', () => {
      const moved = join(directory, 'moved');
      system.rename(file, moved);
      assert.deepEqual(readdirSync(directory), ['moved']);
      assert.throws(
        () => system.rename(file, moved),
        (error) => fails('ENOENT', 'rename')(error) && isFsError(error) && error.dest === moved,
      );
      system.unlink(moved);
      assert.deepEqual(readdirSync(directory), []);
      assert.throws(() => system.unlink(moved), fails('ENOENT', 'unlink'));
    });

    test('makeDirectory makes one directory and is EEXIST the second time', () => {
      system.makeDirectory(join(directory, 'sub'));
      assert.ok(statSync(join(directory, 'sub')).isDirectory());
      assert.throws(() => system.makeDirectory(join(directory, 'sub')), fails('EEXIST', 'mkdir'));
      assert.throws(() => system.makeDirectory(join(directory, 'a', 'b')), fails('ENOENT', 'mkdir'));
    });

    test('a clone is whole, or refused with the target unchanged', () => {
      system.pwrite(fd, Buffer.alloc(8192, 7), 0, 8192, 0);
      const target = system.open(join(directory, 'clone'), CREATE);
      const cloned = system.cloneFile(fd, target);
      assert.equal(statSync(join(directory, 'clone')).size, cloned ? 8192 : 0);
      const range = system.cloneRange(fd, 0, 4096, target, 16_384);
      assert.equal(range, cloned);
      assert.equal(system.fileSize(target).sizeBytes, cloned ? 20_480 : 0);
      if (system.kind === 'buffered') assert.equal(cloned, false);
      system.close(target);
    });

    test('seekData and seekHole walk a file that is all data, and end', () => {
      system.pwrite(fd, Buffer.alloc(8192, 7), 0, 8192, 0);
      assert.equal(system.seekData(fd, 0), 0);
      assert.equal(system.seekData(fd, 5000), 5000);
      assert.equal(system.seekHole(fd, 0), 8192);
      assert.equal(system.seekData(fd, 8192), undefined);
      assert.equal(system.seekHole(fd, 8192), undefined);
      assert.throws(
        () => system.seekData(9999, 0),
        (error) => isFsError(error, 'EBADF'),
      );
      assert.throws(
        () => system.seekHole(9999, 0),
        (error) => isFsError(error, 'EBADF'),
      );
    });

    test('dropCache keeps every byte', () => {
      system.pwrite(fd, Buffer.alloc(8192, 7), 0, 8192, 0);
      system.dataSync(fd);
      system.dropCache(fd);
      assert.ok(readFileSync(file).equals(Buffer.alloc(8192, 7)));
    });

    test('statHost agrees with node:fs and follows a link only where asked to', () => {
      system.pwrite(fd, Buffer.alloc(10_000), 0, 10_000, 0);
      symlinkSync('file', at('link'));
      const expected = statSync(file, { bigint: true });
      const stat = system.statHost(at('link'), true);
      const numbers = [stat.mode, stat.uid, stat.gid, stat.nlink, stat.size, stat.blocks, stat.ino, stat.dev];
      const keys = ['mode', 'uid', 'gid', 'nlink', 'size', 'blocks', 'ino', 'dev'] as const;
      assert.deepEqual(
        numbers,
        keys.map((key) => Number(expected[key])),
      );
      for (const key of ['atime', 'mtime', 'ctime'] as const) {
        const nanoseconds = BigInt(stat[key].seconds) * 1_000_000_000n + BigInt(stat[key].nanoseconds);
        assert.equal(nanoseconds, expected[`${key}Ns`]);
      }
      assert.ok(stat.btime !== undefined && stat.btime.seconds > 1e9);
      assert.equal(system.statHost(at('link'), false).mode & constants.S_IFMT, constants.S_IFLNK);
      assert.throws(
        () => system.statHost(at('none'), true),
        (error) => isFsError(error, 'ENOENT'),
      );
    });

    test('statHost gives device numbers as makedev does', () => {
      assert.equal(system.statHost(bytes('/dev/null'), true).rdev, (1 << 8) | 3);
    });

    test('readHostDirectory gives every name with its inode, as bytes', () => {
      const odd = Buffer.concat([bytes(`${directory}/`), Buffer.from([0xff, 0xe9, 0x20])]);
      writeFileSync(odd, '');
      for (let index = 0; index < 3000; index++) writeFileSync(join(directory, `name-${index}`), '');
      const entries = system.readHostDirectory(bytes(directory));
      assert.equal(entries.length, 3002);
      assert.equal(new Set(entries.map((entry) => entry.name)).size, 3002);
      const found = entries.find((entry) => entry.name === '\xff\xe9 ');
      assert.equal(found?.ino, statSync(odd).ino);
      assert.equal(found?.kind, 8, 'DT_REG');
      assert.throws(
        () => system.readHostDirectory(at('none')),
        (error) => isFsError(error, 'ENOENT'),
      );
      assert.throws(
        () => system.readHostDirectory(bytes(file)),
        (error) => isFsError(error, 'ENOTDIR'),
      );
    });

    test('symlinks are made and read as bytes', () => {
      const target = Buffer.from([0xff, 0x2f, 0x61]);
      inDirectory((opened) => system.symlinkAt(target, opened, bytes('link')));
      assert.ok(system.readHostLink(at('link')).equals(target));
      assert.ok(inDirectory((opened) => system.readLinkAt(opened, bytes('link'))).equals(target));
      const again = () => inDirectory((opened) => system.symlinkAt(target, opened, bytes('link')));
      assert.throws(again, fails('EEXIST', 'symlink'));
      assert.throws(() => system.readHostLink(bytes(file)), fails('EINVAL', 'readlink'));
    });

    test('openHost opens files and does not follow a link', () => {
      system.pwrite(fd, Buffer.from('content'), 0, 7, 0);
      const host = system.openHost(bytes(file), constants.O_RDONLY);
      const target = Buffer.alloc(7);
      system.pread(host, target, 0, 7, 0);
      system.close(host);
      assert.equal(target.toString(), 'content');
      symlinkSync('file', at('link'));
      assert.throws(() => system.openHost(at('link'), constants.O_RDONLY), fails('ELOOP', 'open'));
      const made = system.openHost(at('made'), CREATE | constants.O_EXCL, 0o640);
      system.close(made);
      assert.equal(statSync(join(directory, 'made')).mode & 0o777, 0o640);
    });

    test('setFileTimes takes the present time, and can leave a time as it is', () => {
      const old = { seconds: 1_000_000, nanoseconds: 0 };
      system.setFileTimes(fd, old, old);
      system.setFileTimes(fd, UTIME_NOW, UTIME_OMIT);
      const { atime, mtime } = system.statFile(fd);
      assert.deepEqual(mtime, old);
      assert.ok(Math.abs(atime.seconds - Date.now() / 1000) < 60, `${atime.seconds}`);
      onPath(system, file, (opened) => system.setFileTimes(opened, UTIME_OMIT, UTIME_NOW));
      assert.equal(system.statFile(fd).atime.seconds, atime.seconds);
      assert.ok(system.statFile(fd).mtime.seconds >= atime.seconds - 1);
    });

    test('setFileTimes sets times before and after the epoch, of the link itself', () => {
      symlinkSync('file', at('link'));
      const untouched = system.statHost(bytes(file), true).mtime;
      const atime = { seconds: 1_234_567_890, nanoseconds: 123_456_789 };
      const mtime = { seconds: -12_345, nanoseconds: 250_000_000 };
      onPath(system, join(directory, 'link'), (link) => system.setFileTimes(link, atime, mtime));
      const stat = system.statHost(at('link'), false);
      assert.equal(stat.atime.seconds, atime.seconds);
      const slack = system.kind === 'buffered' ? 1000 : 0;
      assert.ok(Math.abs(stat.atime.nanoseconds - atime.nanoseconds) <= slack);
      assert.deepEqual(stat.mtime, mtime);
      assert.deepEqual(system.statHost(bytes(file), true).mtime, untouched);
      system.setFileTimes(fd, atime, mtime);
      assert.deepEqual(system.statFile(fd).mtime, mtime);
      assert.throws(
        () => system.setFileTimes(9999, atime, mtime),
        (error) => isFsError(error, 'EBADF') || isFsError(error, 'ENOENT'),
      );
    });

    test('the mode of an open file is set, also of one opened with O_PATH', () => {
      onPath(system, file, (opened) => system.chmodFile(opened, 0o4711));
      assert.equal(statSync(file).mode & 0o7777, 0o4711);
      system.chmodFile(fd, 0o640);
      assert.equal(statSync(file).mode & 0o7777, 0o640);
    });

    test('names are made, moved and removed in an open directory', () => {
      inDirectory((opened) => {
        system.makeDirectoryAt(opened, bytes('sub'), 0o700);
        assert.equal(statSync(join(directory, 'sub')).mode & 0o777, 0o700);
        assert.throws(() => system.makeDirectoryAt(opened, bytes('sub'), 0o700), fails('EEXIST', 'mkdir'));
        onPath(system, join(directory, 'sub'), (sub) => {
          system.linkAt(opened, bytes('file'), sub, bytes('second'));
          assert.equal(system.lstatAt(sub, bytes('second')).nlink, 2);
          assert.throws(() => system.linkAt(opened, bytes('none'), sub, bytes('x')), fails('ENOENT', 'link'));
          assert.throws(() => system.removeDirectoryAt(opened, bytes('sub')), fails('ENOTEMPTY', 'rmdir'));
          system.renameAt(sub, bytes('second'), opened, bytes('renamed'));
          assert.throws(
            () => system.renameAt(sub, bytes('none'), opened, bytes('x')),
            fails('ENOENT', 'rename'),
          );
        });
        system.unlinkAt(opened, bytes('renamed'));
        assert.throws(() => system.unlinkAt(opened, bytes('renamed')), fails('ENOENT', 'unlink'));
        system.removeDirectoryAt(opened, bytes('sub'));
        assert.deepEqual(readdirSync(directory), ['file']);
      });
    });

    test('openInRoot never leaves the root, by symlinks or by dots', { skip: noRootedCalls(system) }, () => {
      mkdirSync(join(directory, 'root/sub'), { recursive: true });
      writeFileSync(join(directory, 'secret'), 'outside');
      writeFileSync(join(directory, 'root/secret'), 'inside');
      symlinkSync('/secret', join(directory, 'root/sub/absolute'));
      symlinkSync('../../../secret', join(directory, 'root/sub/dots'));
      symlinkSync(`/proc/self/fd/${fd}`, join(directory, 'root/sub/magic'));
      const root = system.openHost(at('root'), constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        for (const name of ['/sub/absolute', 'sub/dots', '/../secret', 'sub/../../secret']) {
          const open = system.openInRoot(root, bytes(name), constants.O_RDONLY);
          const content = Buffer.alloc(16);
          assert.equal(
            content.toString('utf8', 0, system.pread(open, content, 0, 16, 0)),
            'inside',
            `what ${name} opens`,
          );
          system.close(open);
        }
        assert.throws(
          () => system.openInRoot(root, bytes('/sub/magic'), constants.O_RDONLY),
          fails('ENOENT', 'openat2'),
        );
        const made = system.openInRoot(root, bytes('/made'), CREATE | constants.O_EXCL, 0o600);
        system.syncFileSystem(made);
        system.close(made);
        assert.equal(statSync(join(directory, 'root/made')).mode & 0o777, 0o600);
      } finally {
        system.close(root);
      }
      assert.throws(() => system.syncFileSystem(9999), fails('EBADF', 'syncfs'));
    });

    const isNative = system.kind === 'native' && 'the native system has them';
    test('openInRoot and syncFileSystem are refused where the host has no such calls', {
      skip: isNative,
    }, () => {
      assert.throws(() => system.openInRoot(fd, bytes('/'), 0), fails('ENOTSUP', 'openat2'));
      assert.throws(() => system.syncFileSystem(fd), fails('ENOTSUP', 'syncfs'));
    });

    test('chownFile sets the owner of a link itself', { skip: notRoot() }, () => {
      symlinkSync('file', at('link'));
      onPath(system, join(directory, 'link'), (link) => system.chownFile(link, 1234, 2345));
      const stat = system.statHost(at('link'), false);
      assert.deepEqual([stat.uid, stat.gid], [1234, 2345]);
      assert.equal(statSync(file).uid, 0);
    });

    test('the boot id stays the same and the clock follows the wall clock', () => {
      assert.equal(system.bootId(), system.bootId());
      assert.notEqual(system.bootId(), '');
      assert.ok(system.mapCountMax() > 1000);
      const before = Date.now();
      const now = system.clock.now();
      const nowMs = now.seconds * 1000 + now.nanoseconds / 1e6;
      // Date.now() drops fractions of a millisecond; the buffered clock, from `performance`, may deviate by one more.
      const apartMs = system.kind === 'buffered' ? 2 : 1;
      assert.ok(nowMs > before - apartMs && nowMs < Date.now() + 1 + apartMs, `${before} and then ${nowMs}`);
    });
  });
}

function noRootedCalls(system: System): string | false {
  return system.kind === 'native' ? false : 'node:fs has no openat2';
}

function notRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'needs root';
}

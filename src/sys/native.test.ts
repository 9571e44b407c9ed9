/** The native system: holes, attributes, nodes, full disks, filesystems without fallocate. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, type TestContext, test } from 'node:test';
import { makeNode, writeXattr } from '../../testing/host/by-path.ts';
import { check, libc } from '../../testing/host/libc.ts';
import { isFsError } from '../base/index.ts';
import { createBufferedSystem, createNativeSystem } from './index.ts';
import type { System } from './system.ts';

const CREATE = constants.O_RDWR | constants.O_CREAT;
/** The commands of fcntl(2) that take a lease. */
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const native = createNativeSystem();
assert.ok(!(native instanceof Error), 'the machine that runs the tests has libc through koffi');
const system = native;
const buffered = createBufferedSystem();
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';

describe('native system', () => {
  let directory: string;
  let file: string;
  let path: Buffer;
  let fd: number;
  let mounts: string[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ramet-native-'));
    file = join(directory, 'file');
    path = Buffer.from(file);
    fd = system.open(file, CREATE);
    mounts = [];
  });

  afterEach(() => {
    system.close(fd);
    for (const mount of mounts) execFileSync('umount', [mount]);
    rmSync(directory, { recursive: true });
  });

  const at = (base: string) => Buffer.from(join(directory, base));

  /** Mounts a filesystem of `type`, or skips the test with the reason and returns undefined. */
  function mount(context: TestContext, type: string, options: string): string | undefined {
    const point = join(directory, type);
    mkdirSync(point);
    try {
      execFileSync('mount', ['-t', type, '-o', options, type, point], { stdio: 'pipe' });
    } catch (error) {
      context.skip(`mount -t ${type} is not permitted here: ${String(error)}`);
      return undefined;
    }
    mounts.push(point);
    return point;
  }

  test('seekData and seekHole find the parts of a sparse file', () => {
    system.truncate(fd, 3 << 20);
    system.pwrite(fd, Buffer.alloc(4096, 1), 0, 4096, 1 << 20);
    assert.equal(system.seekData(fd, 0), 1 << 20);
    assert.equal(system.seekHole(fd, 0), 0);
    assert.equal(system.seekHole(fd, 1 << 20), (1 << 20) + 4096);
    assert.equal(system.seekData(fd, (1 << 20) + 4096), undefined);
  });

  test('attributes are written, listed and read, with values of any bytes', () => {
    const values = new Map([
      ['user.empty', Buffer.alloc(0)],
      ['user.bytes', Buffer.from([0, 255, 10])],
      ['user.long', Buffer.alloc(2000, 'x')],
    ]);
    for (const [name, value] of values) system.writeFileXattr(fd, name, value);
    system.writeFileXattr(fd, 'user.bytes', values.get('user.bytes')!);
    const found = system.readHostXattrs(path);
    assert.deepEqual(new Map([...found].filter(([name]) => name.startsWith('user.'))), values);
  });

  test('a link has attributes of its own, but no user attributes', () => {
    system.writeFileXattr(fd, 'user.a', Buffer.from('1'));
    symlinkSync('file', at('link'));
    assert.equal(system.readHostXattrs(at('link')).has('user.a'), false);
    assert.throws(
      () => writeXattr(system, join(directory, 'link'), 'user.a', Buffer.from('1')),
      (error) => isFsError(error, 'EPERM') && error.syscall === 'lsetxattr',
    );
  });

  test('attributes of a missing file are ENOENT; a filesystem without attributes has none', () => {
    assert.throws(
      () => system.readHostXattrs(at('none')),
      (error) => isFsError(error, 'ENOENT'),
    );
    assert.throws(
      () => writeXattr(system, join(directory, 'none'), 'user.a', Buffer.from('1')),
      (error) => isFsError(error, 'ENOENT'),
    );
    assert.equal(system.readHostXattrs(Buffer.from('/proc/self/status')).size, 0);
  });

  test('an attribute name that is too long is ERANGE', () => {
    assert.throws(
      () => system.writeFileXattr(fd, `user.${'n'.repeat(300)}`, Buffer.from('1')),
      (error) => isFsError(error, 'ERANGE'),
    );
  });

  test('opening a file on which somebody has a lease is EAGAIN at once', (context) => {
    // This process itself holds the lease, and the kernel's SIGIO to the holder would end it.
    const notice = (): void => undefined;
    process.on('SIGIO', notice);
    context.after(() => process.off('SIGIO', notice));
    check(libc().fcntlNumber(fd, F_SETLEASE, F_WRLCK), 'F_SETLEASE');
    const root = system.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    context.after(() => system.close(root));
    const started = performance.now();
    for (const open of [system.openAt, system.openBeneath, system.openInRoot])
      assert.throws(
        () => open(root, Buffer.from('file'), constants.O_RDONLY | constants.O_NONBLOCK),
        (error) => isFsError(error, 'EAGAIN'),
      );
    const tookMs = performance.now() - started;
    assert.ok(tookMs < 1000, `${tookMs} ms`);
  });

  test('paths with a zero byte are EINVAL, too long ones ENAMETOOLONG', () => {
    assert.throws(
      () => system.statHost(Buffer.from('/a\0b'), true),
      (error) => isFsError(error, 'EINVAL'),
    );
    for (const length of [4096, 10_000])
      assert.throws(
        () => system.statHost(Buffer.alloc(length, '/'), true),
        (error) => isFsError(error, 'ENAMETOOLONG'),
      );
    assert.equal(system.statHost(Buffer.alloc(4095, '/'), true).ino, statSync('/').ino);
  });

  test('a shorter path after a longer one ends where it should', () => {
    const long = Buffer.from(`${directory}/${'.///'.repeat(200)}file`);
    const stat = system.statHost(long, true);
    assert.equal(stat.ino, system.statHost(path, true).ino);
    assert.notEqual(stat.ino, system.statHost(Buffer.from(directory), true).ino);
  });

  test('fifos are made with their mode; making one a second time is EEXIST', () => {
    makeNode(system, join(directory, 'fifo'), constants.S_IFIFO | 0o640, 0);
    assert.equal(statSync(at('fifo')).mode, constants.S_IFIFO | 0o640);
    assert.throws(
      () => makeNode(system, join(directory, 'fifo'), constants.S_IFIFO | 0o640, 0),
      (error) => isFsError(error, 'EEXIST') && error.syscall === 'mknod',
    );
  });

  test('devices are made with their number', { skip: needsRoot }, () => {
    const rdev = (300 << 8) | 0x34 | (0x12 << 20);
    makeNode(system, join(directory, 'device'), constants.S_IFCHR | 0o600, rdev);
    assert.equal(statSync(at('device')).rdev, rdev);
    assert.equal(system.statHost(at('device'), false).rdev, rdev);
  });

  test('punch, allocate and clone report what the kernel refuses', () => {
    assert.throws(
      () => system.punch(9999, 0, 4096),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.allocate(9999, 0, 4096),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.cloneFile(9998, 9999),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.cloneRange(9998, 0, 4096, 9999, 0),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.tryPread(9999, Buffer.alloc(1), 0, 1, 0),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.dropCache(9999),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.allocate(fd, -4096, 4096),
      (error) => isFsError(error, 'EINVAL'),
    );
    assert.throws(
      () => system.punch(fd, -4096, 4096),
      (error) => isFsError(error, 'EINVAL'),
    );
  });

  test('the clock counts nanoseconds', () => {
    const last = new Set<number>();
    for (let reading = 0; reading < 50; reading++) {
      const now = system.clock.now();
      assert.ok(now.nanoseconds >= 0 && now.nanoseconds < 1e9);
      last.add(now.nanoseconds % 1000);
    }
    assert.ok(last.size > 10, `${last.size} different last three digits`);
  });

  describe('on filesystems that the test mounts', { skip: needsRoot }, () => {
    const kinds: readonly [string, System][] = [
      ['native', system],
      ['buffered', buffered],
    ];
    for (const [name, each] of kinds) {
      test(`a full disk is ENOSPC and leaves the size (${name})`, (context) => {
        const point = mount(context, 'tmpfs', 'size=64k');
        if (point === undefined) return;
        const small = each.open(join(point, 'file'), CREATE);
        each.pwrite(small, Buffer.alloc(8192, 1), 0, 8192, 0);
        assert.throws(
          () => each.allocate(small, 8192, 1 << 20),
          (error) => isFsError(error, 'ENOSPC'),
        );
        assert.equal(each.fileSize(small).sizeBytes, 8192);
        each.allocate(small, 8192, 8192);
        assert.equal(each.fileSize(small).sizeBytes, 16_384);
        assert.throws(
          () => each.pwrite(small, Buffer.alloc(1 << 20), 0, 1 << 20, 0),
          (error) => isFsError(error, 'ENOSPC') && error.syscall === 'pwrite',
        );
        each.close(small);
      });
    }

    test('without fallocate, space is allocated by writing, and nothing is punched', (context) => {
      const point = mount(context, 'ramfs', 'mode=700');
      if (point === undefined) return;
      const plain = system.open(join(point, 'file'), CREATE);
      system.pwrite(plain, Buffer.alloc(10, 1), 0, 10, 20_000);
      system.allocate(plain, 0, 40_960);
      const expected = Buffer.alloc(40_960);
      expected.fill(1, 20_000, 20_010);
      assert.ok(readFileSync(join(point, 'file')).equals(expected));
      assert.equal(system.seekHole(plain, 0), 40_960);
      assert.equal(system.punch(plain, 0, 4096), false);
      assert.equal(system.cloneFile(plain, fd), false);
      system.close(plain);
    });
  });
});

/** The calls for serving mounts: waiting on many descriptors, whole messages, mounts, read-only views. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { isFsError } from '../base/index.ts';
import { createKernel, type Kernel } from './kernel.ts';

const made = createKernel();
const skip = made instanceof Error ? `no libc: ${made.message}` : false;
const kernel = made as Kernel; // The cast: every test is skipped if `made` is an Error.
const needsRoot = skip || (process.getuid?.() === 0 ? false : 'needs root');

const ENOENT_NUMBER = 2;
const EAGAIN_NUMBER = 11;

function scratch(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-kernel-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A pipe (a fifo that is open at both ends), closed when the test ends. */
async function pipe(context: TestContext): Promise<{ readonly fd: number }> {
  const path = join(scratch(context), 'fifo');
  await new Promise<void>((resolve, reject) => {
    spawn('mkfifo', [path])
      .once('error', reject)
      .once('exit', () => resolve());
  });
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  context.after(() => closeSync(fd));
  return { fd };
}

function epollOf(context: TestContext): number {
  const epoll = kernel.createEpoll();
  context.after(() => closeSync(epoll));
  return epoll;
}

const send = (fd: number, bytes: Uint8Array) => kernel.write(fd, kernel.addressOf(bytes), bytes.length);
const receive = (fd: number, bytes: Uint8Array) => kernel.read(fd, kernel.addressOf(bytes), bytes.length);
/** A buffer too large for V8's own heap, where arrays may move: its address stays the same. */
const fixed = (length: number) => Buffer.allocUnsafeSlow(Math.max(4096, length)).fill(0).subarray(0, length);

describe('epoll', { skip }, () => {
  it('reports which of several descriptors has input, for as long as the input is there', async (context) => {
    const epoll = epollOf(context);
    const [one, two] = [await pipe(context), await pipe(context)];
    kernel.watch(epoll, one.fd, 7);
    kernel.watch(epoll, two.fd, 0xffff_fffe);
    const tags = new Uint32Array(4);
    assert.equal(kernel.epollWait(epoll, tags, 0), 0);
    assert.equal(send(two.fd, fixed(10).fill(1)), 10);
    for (let time = 0; time < 2; time++) {
      assert.equal(kernel.epollWait(epoll, tags, 1000), 1);
      assert.equal(tags[0], 0xffff_fffe);
    }
    send(one.fd, fixed(1));
    assert.equal(kernel.epollWait(epoll, tags, 1000), 2);
    assert.deepEqual(new Set(tags.subarray(0, 2)), new Set([7, 0xffff_fffe]));
    assert.equal(receive(two.fd, fixed(100)), 10);
    assert.equal(kernel.epollWait(epoll, tags, 0), 1);
    kernel.unwatch(epoll, one.fd);
    assert.equal(kernel.epollWait(epoll, tags, 0), 0);
  });

  it('reports no more at once than there is room for', async (context) => {
    const epoll = epollOf(context);
    for (let tag = 0; tag < 3; tag++) {
      const { fd } = await pipe(context);
      kernel.watch(epoll, fd, tag);
      send(fd, fixed(1));
    }
    assert.equal(kernel.epollWait(epoll, new Uint32Array(2), 0), 2);
  });

  it('waits for the given time', (context) => {
    const epoll = epollOf(context);
    const start = performance.now();
    assert.equal(kernel.epollWait(epoll, new Uint32Array(1), 60), 0);
    assert.ok(performance.now() - start >= 55);
  });

  it('can watch another epoll instance', async (context) => {
    const [outer, inner] = [epollOf(context), epollOf(context)];
    const { fd } = await pipe(context);
    kernel.watch(outer, inner, 1);
    kernel.watch(inner, fd, 2);
    const tags = new Uint32Array(2);
    assert.equal(kernel.epollWait(outer, tags, 0), 0);
    send(fd, fixed(1));
    assert.equal(kernel.epollWait(outer, tags, 1000), 1);
    assert.equal(tags[0], 1);
    assert.equal(kernel.epollWait(inner, tags, 0), 1);
    assert.equal(tags[0], 2);
  });

  it('refuses a descriptor that is watched already, not watched, or not open', async (context) => {
    const epoll = epollOf(context);
    const { fd } = await pipe(context);
    kernel.watch(epoll, fd, 1);
    assert.throws(
      () => kernel.watch(epoll, fd, 2),
      (error) => isFsError(error, 'EEXIST'),
    );
    kernel.unwatch(epoll, fd);
    assert.throws(
      () => kernel.unwatch(epoll, fd),
      (error) => isFsError(error, 'ENOENT'),
    );
    assert.throws(
      () => kernel.watch(epoll, -1, 2),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => kernel.epollWait(-1, new Uint32Array(1), 0),
      (error) => isFsError(error, 'EBADF'),
    );
  });
});

describe('messages', { skip }, () => {
  it('return the bytes moved, or the negative errno', async (context) => {
    const { fd } = await pipe(context);
    const target = fixed(16);
    assert.equal(receive(fd, target), -EAGAIN_NUMBER);
    assert.equal(send(fd, fixed(5).fill(3)), 5);
    assert.equal(receive(fd, target), 5);
    assert.deepEqual([...target.subarray(0, 6)], [3, 3, 3, 3, 3, 0]);
    const error = kernel.failure(ENOENT_NUMBER, 'write');
    assert.deepEqual([error.code, error.syscall], ['ENOENT', 'write']);
  });

  it('are gathered from several pieces of memory', async (context) => {
    const { fd } = await pipe(context);
    const [one, two] = [fixed(3).fill(1), fixed(2).fill(2)];
    const iovec = new BigUint64Array([BigInt(kernel.addressOf(one)), 3n, BigInt(kernel.addressOf(two)), 2n]);
    assert.equal(kernel.writev(fd, iovec, 2), 5);
    const target = fixed(16);
    assert.equal(receive(fd, target), 5);
    assert.deepEqual([...target.subarray(0, 5)], [1, 1, 1, 2, 2]);
  });
});

describe('mounts', { skip }, () => {
  it('fail with the errno of the kernel as root, and with EPERM without privileges', (context) => {
    const directory = scratch(context);
    const isRoot = process.getuid?.() === 0;
    const fails = (call: () => void, code: 'ENOENT' | 'EINVAL' | 'ENODEV' | 'ENOTDIR', syscall: string) =>
      assert.throws(call, (error) => {
        assert.ok(isFsError(error, isRoot ? code : 'EPERM'), String(error));
        assert.equal(error.syscall, syscall);
        return true;
      });
    const missing = join(directory, 'missing');
    writeFileSync(join(directory, 'file'), '');
    fails(() => kernel.mount('none', missing, 'tmpfs', 0, ''), 'ENOENT', 'mount');
    fails(() => kernel.mount('none', join(directory, 'file'), 'tmpfs', 0, ''), 'ENOTDIR', 'mount');
    fails(() => kernel.mount('none', directory, 'no-such-filesystem', 0, ''), 'ENODEV', 'mount');
    fails(() => kernel.unmount(missing, 0), 'ENOENT', 'umount');
    fails(() => kernel.unmount(directory, 0), 'EINVAL', 'umount');
  });

  it('come and go', { skip: needsRoot }, (context) => {
    const directory = join(scratch(context), 'mount point');
    mkdirSync(directory);
    try {
      kernel.mount('ramet-test', directory, 'tmpfs', 0, 'size=64k');
    } catch (error) {
      if (!isFsError(error, 'EPERM')) throw error;
      context.skip('mounting is not permitted here');
      return;
    }
    const isMounted = () => readFileSync('/proc/self/mounts', 'utf8').includes('mount\\040point');
    assert.equal(isMounted(), true);
    const fd = openSync(join(directory, 'file'), 'w');
    assert.throws(
      () => kernel.unmount(directory, 0),
      (error) => isFsError(error, 'EBUSY'),
    );
    closeSync(fd);
    kernel.unmount(directory, 0);
    assert.equal(isMounted(), false);
  });
});

describe('a read-only view', { skip }, () => {
  it('shows a tree that cannot be written to through it', { skip: needsRoot }, (context) => {
    const directory = scratch(context);
    writeFileSync(join(directory, 'file'), 'content');
    const view = viewOf(context, directory);
    if (view === undefined) return;
    const path = `/proc/self/fd/${view}/file`;
    assert.equal(readFileSync(path, 'utf8'), 'content');
    const { O_RDWR, O_WRONLY, O_TRUNC, O_RDONLY, O_CREAT } = constants;
    for (const flags of [O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC])
      assert.throws(() => openSync(path, flags), { code: 'EROFS' }, `flags ${flags}`);
    assert.throws(() => openSync(`/proc/self/fd/${view}/new`, O_RDWR | O_CREAT), { code: 'EROFS' });
    // Opening the file again through its descriptor does not leave the read-only view.
    const reader = openSync(path, O_RDONLY);
    context.after(() => closeSync(reader));
    assert.throws(() => openSync(`/proc/self/fd/${reader}`, O_RDWR), { code: 'EROFS' });
    writeFileSync(join(directory, 'file'), 'changed');
    assert.equal(readFileSync(path, 'utf8'), 'changed', 'the tree itself can be written to');
    assert.equal(
      readFileSync('/proc/self/mounts', 'utf8').includes(directory),
      false,
      'it is mounted nowhere',
    );
  });

  it('of a missing directory fails with ENOENT, and without privileges with EPERM', () => {
    const isRoot = process.getuid?.() === 0;
    assert.throws(
      () => kernel.readOnlyView('/no/such/directory'),
      (error) => isFsError(error, isRoot ? 'ENOENT' : 'EPERM') || isFsError(error, 'ENOSYS'),
    );
  });
});

describe('dropping unused names', { skip }, () => {
  it('fails with ENOENT, with EINVAL where nothing is mounted, and without privileges with EPERM', (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'ramet-names-'));
    context.after(() => rmSync(directory, { recursive: true }));
    for (const [path, code] of [
      [join(directory, 'missing'), 'ENOENT'],
      [directory, 'EINVAL'],
    ] as const) {
      assert.throws(
        () => kernel.dropUnusedNames(path),
        (error) => isFsError(error, code) || isFsError(error, 'EPERM') || isFsError(error, 'ENOSYS'),
      );
    }
  });
});

function viewOf(context: TestContext, directory: string): number | undefined {
  try {
    const view = kernel.readOnlyView(directory);
    context.after(() => closeSync(view));
    return view;
  } catch (error) {
    if (!isFsError(error, 'EPERM') && !isFsError(error, 'ENOSYS')) throw error;
    context.skip(`a read-only view cannot be made here: ${error.code}`);
    return undefined;
  }
}

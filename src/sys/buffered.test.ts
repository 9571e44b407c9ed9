/** The peculiarities of the buffered system: locks by file, and calls that it refuses. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { isFsError } from '../base/index.ts';
import { createBufferedSystem } from './index.ts';

const CREATE = constants.O_RDWR | constants.O_CREAT;

describe('buffered system', () => {
  const system = createBufferedSystem();
  let directory: string;
  let file: string;
  let fd: number;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ramet-buffered-'));
    file = join(directory, 'file');
    fd = system.open(file, CREATE);
  });

  afterEach(() => {
    system.close(fd);
    rmSync(directory, { recursive: true });
  });

  /** Starts a process that takes the lock, reports that, and stays until it is killed. */
  async function holderProcess(): Promise<ChildProcess> {
    const door = JSON.stringify(new URL('./index.js', import.meta.url).href);
    const script = `import(${door}).then(({ createBufferedSystem }) => {
      const system = createBufferedSystem();
      const fd = system.open(${JSON.stringify(file)}, ${CREATE});
      process.stdout.write(String(system.tryLock(fd)));
      setInterval(() => {}, 1000);
    });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(child.stdout, 'data');
    assert.equal(String(said), 'true');
    return child;
  }

  test('a lock of another process holds until that process is killed, and can then be taken', async () => {
    const child = await holderProcess();
    const exited = once(child, 'exit');
    try {
      assert.equal(system.tryLock(fd), false);
    } finally {
      child.kill('SIGKILL');
    }
    await exited;
    assert.equal(existsSync(`${file}.lock`), true);
    assert.equal(system.tryLock(fd), true);
    assert.equal(Number.parseInt(readFileSync(`${file}.lock`, 'latin1'), 10), process.pid);
    system.unlock(fd);
    assert.deepEqual(readdirSync(directory), ['file']);
  });

  test('two systems of one process exclude each other', () => {
    const other = createBufferedSystem();
    const otherFd = other.open(file, CREATE);
    assert.equal(system.tryLock(fd), true);
    assert.equal(other.tryLock(otherFd), false);
    other.close(otherFd);
    system.unlock(fd);
  });

  test('a process with the number of the holder but another start time is not the holder', () => {
    writeFileSync(`${file}.lock`, `${process.pid} 1 ${system.bootId()}`);
    assert.equal(system.tryLock(fd), true);
  });

  test('a lock of an earlier boot does not count, nor does one that cannot be read', () => {
    for (const text of [`${process.pid} 1 other-boot`, '', 'no number', '-1 1 x']) {
      writeFileSync(`${file}.lock`, text);
      assert.equal(system.tryLock(fd), true, text);
      system.unlock(fd);
    }
  });

  test('unlock succeeds after the lock file was removed by hand', () => {
    assert.equal(system.tryLock(fd), true);
    rmSync(`${file}.lock`);
    system.unlock(fd);
    assert.equal(system.tryLock(fd), true);
  });

  test('unlock without a lock does nothing', () => {
    system.unlock(fd);
    assert.deepEqual(readdirSync(directory), ['file']);
  });

  test('a lock file that cannot be made is an error', () => {
    const doomed = mkdtempSync(join(directory, 'doomed-'));
    const lost = system.open(join(doomed, 'file'), CREATE);
    rmSync(doomed, { recursive: true });
    assert.throws(
      () => system.tryLock(lost),
      (error) => isFsError(error, 'ENOENT') && error.syscall === 'open',
    );
    system.close(lost);
  });

  test('writing attributes and making nodes are ENOTSUP', () => {
    const path = Buffer.from(file);
    assert.equal(system.readHostXattrs(path).size, 0);
    assert.throws(
      () => system.writeFileXattr(fd, 'user.a', path),
      (error) => isFsError(error, 'ENOTSUP') && error.syscall === 'lsetxattr',
    );
    assert.throws(
      () => system.makeNodeAt(fd, path, constants.S_IFIFO, 0),
      (error) => isFsError(error, 'ENOTSUP') && error.syscall === 'mknod',
    );
  });
});

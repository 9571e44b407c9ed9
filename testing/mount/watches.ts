/** Ways to hold a file other than descriptors: inotify watches, file handles, and running programs. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { equalBytes } from '../conformance/expect.ts';
import { check, libc } from '../host/libc.ts';
import { handleOf, openHandle } from './file-handle.ts';
import { dropPages, fileContent, type MountCase, type MountGroup } from './mount-case.ts';

const IN_NONBLOCK = 0o4000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;

interface WatchEvent {
  readonly mask: number;
  readonly name: string;
}

/** Watches one path while `change` runs. Returns the events. */
function eventsOf(path: string, mask: number, change: () => void): WatchEvent[] {
  const fd = check(libc().inotify_init1(IN_NONBLOCK), 'inotify_init1');
  try {
    check(libc().inotify_add_watch(fd, path, mask), 'inotify_add_watch');
    change();
    const chunk = Buffer.alloc(16_384);
    const length = readSync(fd, chunk);
    const events: WatchEvent[] = [];
    // struct inotify_event: watch i32, mask u32, cookie u32, length u32, name.
    for (let at = 0; at < length; ) {
      const nameLength = chunk.readUInt32LE(at + 12);
      const name = chunk.toString('utf8', at + 16, at + 16 + nameLength).replace(/\0+$/, '');
      events.push({ mask: chunk.readUInt32LE(at + 4), name });
      at += 16 + nameLength;
    }
    return events;
  } finally {
    closeSync(fd);
  }
}

const watchCases: readonly MountCase[] = [
  {
    name: 'a watch set before the first write reports writes and changes of attributes',
    run(root) {
      const path = `${root}/file`;
      const events = eventsOf(path, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE, () => {
        const fd = openSync(path, 'r+');
        writeSync(fd, 'copied up');
        closeSync(fd);
        chmodSync(path, 0o600);
      });
      assert.deepEqual(
        events.map(({ mask }) => mask),
        [IN_MODIFY, IN_CLOSE_WRITE, IN_ATTRIB],
      );
    },
  },
  {
    name: 'a watch on one hard link reports writes through the other',
    run(root) {
      const events = eventsOf(`${root}/first`, IN_MODIFY, () =>
        writeFileSync(`${root}/second`, 'x', { flag: 'r+' }),
      );
      assert.ok(events.some(({ mask }) => mask === IN_MODIFY));
    },
  },
  {
    name: 'a watch on a directory of a lower layer reports names that are created, moved and removed',
    run(root) {
      const directory = `${root}/directory`;
      const mask = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE;
      const events = eventsOf(directory, mask, () => {
        writeFileSync(`${directory}/new`, '');
        renameSync(`${directory}/shallow`, `${directory}/moved`);
        renameSync(`${root}/small`, `${directory}/in`);
        unlinkSync(`${directory}/new`);
      });
      const told = events.map(({ mask: kind, name }) => [kind, name]);
      const expected = [
        [IN_CREATE, 'new'],
        [IN_MOVED_FROM, 'shallow'],
        [IN_MOVED_TO, 'moved'],
        [IN_MOVED_TO, 'in'],
        [IN_DELETE, 'new'],
      ];
      assert.deepEqual(told, expected);
    },
  },
];

function readByHandle(root: string, handle: Buffer): Buffer {
  const fd = openHandle(root, handle, constants.O_RDONLY);
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function canRead(root: string, handle: Buffer): boolean {
  try {
    readByHandle(root, handle);
    return true;
  } catch {
    return false;
  }
}

/** Handles need CAP_DAC_READ_SEARCH. */
const handleCases: readonly MountCase[] = [
  {
    name: 'a file handle made before the first write still leads to the file after the write and a rename',
    needs: ['root'],
    run(root) {
      const handle = handleOf(`${root}/file`);
      equalBytes(readByHandle(root, handle), fileContent, 'before');
      const fd = openSync(`${root}/file`, 'r+');
      writeSync(fd, 'copied up', 0);
      dropPages(fd);
      closeSync(fd);
      assert.equal(readByHandle(root, handle).toString('latin1', 0, 9), 'copied up');
      renameSync(`${root}/file`, `${root}/directory/moved`);
      const writer = openHandle(root, handle, constants.O_RDWR);
      writeSync(writer, 'by handle', 0);
      closeSync(writer);
      assert.equal(readFileSync(`${root}/directory/moved`).toString('latin1', 0, 9), 'by handle');
    },
  },
  {
    name: 'a file handle of a removed file is ESTALE',
    needs: ['root'],
    run(root) {
      const handle = handleOf(`${root}/small`);
      unlinkSync(`${root}/small`);
      // A closed descriptor may keep the file for a moment, because close(2) on a mount does not wait for the release.
      const until = performance.now() + 2_000;
      while (canRead(root, handle) && performance.now() < until);
      assert.throws(() => readByHandle(root, handle), { code: 'ESTALE' });
    },
  },
];

function addProgram(root: string): void {
  const sleep = execFileSync('sh', ['-c', 'command -v sleep'], { encoding: 'utf8' }).trim();
  copyFileSync(sleep, `${root}/sleep`);
  chmodSync(`${root}/sleep`, 0o755);
}

const programCases: readonly MountCase[] = [
  {
    name: 'a running program cannot be opened for writing, nor one open for writing be run: ETXTBSY',
    fill: addProgram,
    async run(root) {
      const running = spawn(`${root}/sleep`, ['60']);
      try {
        await once(running, 'spawn');
        assert.throws(() => openSync(`${root}/sleep`, 'r+'), { code: 'ETXTBSY' });
        assert.throws(() => openSync(`${root}/sleep`, 'w'), { code: 'ETXTBSY' });
      } finally {
        running.kill('SIGKILL');
      }
      await once(running, 'exit');
      const fd = openSync(`${root}/sleep`, 'r+');
      assert.throws(() => execFileSync(`${root}/sleep`, ['0']), { code: 'ETXTBSY' });
      writeSync(fd, Buffer.from([0x7f]), 0, 1, 0);
      closeSync(fd);
      execFileSync(`${root}/sleep`, ['0']);
    },
  },
];

export const watchesGroup: MountGroup = {
  name: 'watches',
  cases: [...watchCases, ...handleCases, ...programCases],
};

/** Rights on a mount: permissions of another user, set-ID bits that writing clears, and access control lists. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { allocateFixed, check, libc } from '../host/libc.ts';
import type { MountCase, MountGroup } from './mount-case.ts';

/** Ids that belong to no user and no group of the machine. */
const USER = 65_534;
const GROUP = 65_532;
const OTHER_GROUP = 65_533;
const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
/** Tags of entries, and the id of an entry without a user or group: acl(5), linux/posix_acl_xattr.h. */
const USER_OBJ = 1;
const NAMED_USER = 2;
const GROUP_OBJ = 4;
const MASK = 0x10;
const OTHER = 0x20;
const NOBODY = 0xffffffff;

/** Runs a line of shell as a user without privileges; `$1` is the path. */
function asStranger(line: string, path: string): void {
  execFileSync('sh', ['-c', line, 'sh', path], { uid: USER, gid: GROUP, stdio: 'pipe' });
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

/** The bytes of an access control list with one named user: version 2, then tag, rights and id of each entry. */
function listFor(user: number, rights: number): Buffer {
  const entries = [
    [USER_OBJ, 6, NOBODY],
    [NAMED_USER, rights, user],
    [GROUP_OBJ, 0, NOBODY],
    [MASK, rights, NOBODY],
    [OTHER, 0, NOBODY],
  ] as const;
  const list = allocateFixed(4 + 8 * entries.length);
  list.writeUInt32LE(2, 0);
  for (const [index, [tag, right, number]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + 8 * index);
    list.writeUInt16LE(right, 6 + 8 * index);
    list.writeUInt32LE(number, 8 + 8 * index);
  }
  return list;
}

function setList(path: string, name: string, list: Buffer): void {
  check(libc().lsetxattr(path, name, list, list.length, 0), 'setxattr');
}

function removeList(path: string, name: string): void {
  check(libc().lremovexattr(path, name), 'removexattr');
}

function hasList(path: string, name: string): boolean {
  return libc().lgetxattr(path, name, allocateFixed(256), 256) > 0;
}

/** Asks statx(2) for the mode alone, which the kernel may answer without asking the server. */
function modeAlone(path: string): string {
  return execFileSync('stat', ['--format=%a', path], { encoding: 'utf8' }).trim();
}

const clearingCases: readonly MountCase[] = [
  {
    name: 'a write or a truncate by another user clears setuid, and setgid where the group may execute',
    run(root) {
      for (const [before, after] of [
        [0o4777, 0o777],
        [0o2777, 0o777],
        [0o6777, 0o777],
        [0o2767, 0o767],
      ] as const) {
        for (const line of ['echo x >> "$1"', ': > "$1"']) {
          chmodSync(`${root}/file`, before);
          asStranger(line, `${root}/file`);
          // set-group-ID without the group's execute bit once meant mandatory locking, so some kernels keep the bit.
          const found = modeOf(`${root}/file`);
          assert.ok(
            found === after || (before === 0o2767 && found === before),
            `${line}: ${found.toString(8)}`,
          );
        }
      }
    },
  },
  {
    name: 'what another user changes of the bytes clears setuid, also for a caller that asks for the mode alone',
    run(root) {
      for (const line of [
        'echo x >> "$1"',
        'echo x 1<> "$1"',
        ': > "$1"; fallocate --length 8192 "$1"',
        'fallocate --punch-hole --length 4096 "$1"',
        'fallocate --zero-range --length 4096 "$1"',
      ]) {
        chmodSync(`${root}/file`, 0o6777);
        assert.equal(modeAlone(`${root}/file`), '6777');
        asStranger(line, `${root}/file`);
        assert.equal(modeAlone(`${root}/file`), '777', line);
      }
    },
  },
  {
    name: 'a write by root clears neither setuid nor setgid',
    run(root) {
      chmodSync(`${root}/file`, 0o6755);
      const fd = openSync(`${root}/file`, 'r+');
      writeSync(fd, 'x');
      closeSync(fd);
      assert.equal(modeOf(`${root}/file`), 0o6755);
    },
  },
  {
    name: 'giving a file to another group, as its owner or as root, clears setuid and setgid',
    run(root) {
      execFileSync('mkfifo', [`${root}/fifo`]);
      for (const path of [`${root}/file`, `${root}/fifo`]) {
        chownSync(path, USER, OTHER_GROUP);
        chmodSync(path, 0o6555);
        asStranger(`chgrp ${GROUP} "$1"`, path);
        assert.equal(statSync(path).gid, GROUP);
        assert.equal(modeOf(path), 0o555, path);
        chmodSync(path, 0o6755);
        chownSync(path, 0, 0);
        assert.equal(modeOf(path), 0o755, path);
      }
    },
  },
];

const enteringCases: readonly MountCase[] = [
  {
    name: 'another user is held to the mode of files and directories',
    run(root) {
      chmodSync(`${root}/file`, 0o640);
      assert.throws(() => asStranger('cat "$1"', `${root}/file`));
      chmodSync(`${root}/file`, 0o644);
      asStranger('cat "$1"', `${root}/file`);
      assert.throws(() => asStranger('echo x >> "$1"', `${root}/file`));
      chmodSync(`${root}/directory`, 0o700);
      assert.throws(() => asStranger('cat "$1/shallow"', `${root}/directory`));
      chmodSync(`${root}/directory`, 0o711);
      asStranger('cat "$1/shallow"', `${root}/directory`);
      assert.throws(() => asStranger('ls "$1"', `${root}/directory`));
    },
  },
  {
    name: 'in a sticky directory others make names, and remove only their own',
    run(root) {
      chmodSync(`${root}/directory`, 0o1777);
      asStranger('echo own > "$1/own"; mv "$1/own" "$1/moved"', `${root}/directory`);
      const stat = statSync(`${root}/directory/moved`);
      assert.deepEqual([stat.uid, stat.gid], [USER, GROUP]);
      assert.throws(() => asStranger('rm -f "$1/shallow"', `${root}/directory`));
      asStranger('rm "$1/moved"', `${root}/directory`);
    },
  },
  {
    name: 'in a directory with setgid new names get its group, and new directories setgid too',
    run(root) {
      chownSync(`${root}/empty`, 0, OTHER_GROUP);
      chmodSync(`${root}/empty`, 0o2777);
      asStranger('mkdir "$1/inner"; : > "$1/file"', `${root}/empty`);
      assert.equal(statSync(`${root}/empty/file`).gid, OTHER_GROUP);
      assert.equal(statSync(`${root}/empty/inner`).gid, OTHER_GROUP);
      assert.equal(modeOf(`${root}/empty/inner`) & 0o2000, 0o2000);
    },
  },
];

const listCases: readonly MountCase[] = [
  {
    name: 'an access control list lets one user in, and shows in the mode',
    run(root) {
      chmodSync(`${root}/file`, 0o600);
      assert.throws(() => asStranger('cat "$1"', `${root}/file`));
      setList(`${root}/file`, ACCESS, listFor(USER, 4));
      asStranger('cat "$1"', `${root}/file`);
      assert.throws(() => asStranger('echo x >> "$1"', `${root}/file`));
      assert.equal(modeOf(`${root}/file`), 0o640, 'the mask is where the group was');
      chmodSync(`${root}/file`, 0o600);
      assert.throws(() => asStranger('cat "$1"', `${root}/file`), 'the mask was taken away');
    },
  },
  {
    name: 'a default list is handed down to what is made in a directory',
    run(root) {
      setList(`${root}/empty`, DEFAULT, listFor(USER, 4));
      writeFileSync(`${root}/empty/file`, 'handed down');
      mkdirSync(`${root}/empty/inner`);
      assert.ok(hasList(`${root}/empty/file`, ACCESS));
      assert.ok(!hasList(`${root}/empty/file`, DEFAULT));
      assert.ok(hasList(`${root}/empty/inner`, DEFAULT));
      chmodSync(`${root}/empty`, 0o755);
      asStranger('cat "$1"', `${root}/empty/file`);
      assert.equal(readFileSync(`${root}/empty/file`, 'utf8'), 'handed down');
    },
  },
  {
    name: 'a list that is not there is removed without complaint',
    run(root) {
      removeList(`${root}/directory`, DEFAULT);
      removeList(`${root}/file`, ACCESS);
      setList(`${root}/file`, ACCESS, listFor(USER, 4));
      removeList(`${root}/file`, ACCESS);
      assert.ok(!hasList(`${root}/file`, ACCESS));
    },
  },
];

/** All these cases act as root and as another user. */
export const rightsGroup: MountGroup = {
  name: 'rights',
  cases: [...clearingCases, ...enteringCases, ...listCases].map((one) => ({ ...one, needs: ['root'] })),
};

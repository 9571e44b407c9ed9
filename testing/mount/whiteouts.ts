/** RENAME_WHITEOUT of renameat2(2): the whiteout that it leaves under the old name, and the owner of that whiteout. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import {
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  readDirectory,
  renameWith,
} from '../host/libc.ts';
import type { MountCase, MountGroup } from './mount-case.ts';

/** Ids that belong to no user and no group of the machine. */
const USER = 65_534;
const GROUP = 65_532;
const OTHER_GROUP = 65_533;
const DT_CHR = 2;
const S_IFCHR = 0o020000;

function leave(from: string, to: string): void {
  renameWith(RENAME_WHITEOUT, from, to);
}

/** Asserts that `path` is a whiteout that `uid` and `gid` made. */
function isWhiteout(path: string, uid = process.geteuid!(), gid = process.getegid!()): void {
  const { mode, rdev, size, nlink, blocks, uid: user, gid: group } = lstatSync(path);
  const found = { mode, rdev, size, nlink, blocks, user, group };
  assert.deepEqual(found, { mode: S_IFCHR, rdev: 0, size: 0, nlink: 1, blocks: 0, user: uid, group: gid });
}

/** Runs `action` as a user without privileges. */
function asStranger(action: () => void): void {
  const groups = process.getgroups!();
  process.setgroups!([]);
  process.setegid!(GROUP);
  process.seteuid!(USER);
  try {
    action();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
    process.setgroups!(groups);
  }
}

const kindCases: readonly MountCase[] = [
  {
    name: 'a device 0/0 is left where a file was, with a number of its own',
    run(root) {
      const { ino } = statSync(`${root}/small`);
      leave(`${root}/small`, `${root}/moved`);
      isWhiteout(`${root}/small`);
      assert.equal(statSync(`${root}/moved`).ino, ino);
      assert.notEqual(lstatSync(`${root}/small`).ino, ino);
      assert.equal(readFileSync(`${root}/moved`, 'utf8'), 'small\n');
      const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
      assert.equal(readDirectory(fd).find(({ name }) => name === 'small')?.kind, DT_CHR);
      closeSync(fd);
      unlinkSync(`${root}/small`);
      assert.ok(!readdirSync(root).includes('small'));
    },
  },
  {
    name: 'one is left where a directory was, and links are counted as they are then',
    run(root) {
      const before = statSync(root).nlink;
      leave(`${root}/directory`, `${root}/empty`);
      isWhiteout(`${root}/directory`);
      assert.equal(readFileSync(`${root}/empty/inner/deep`, 'utf8'), 'deep\n');
      assert.equal(statSync(root).nlink, before - 1);
      mkdirSync(`${root}/other`);
      leave(`${root}/empty/inner`, `${root}/other/inner`);
      isWhiteout(`${root}/empty/inner`);
      assert.deepEqual([statSync(`${root}/empty`).nlink, statSync(`${root}/other`).nlink], [2, 3]);
      assert.equal(statSync(`${root}/other/inner/..`).ino, statSync(`${root}/other`).ino);
      assert.deepEqual(readdirSync(`${root}/empty`).sort(), ['inner', 'shallow']);
    },
  },
  {
    name: 'one is left where a symlink, a fifo or a whiteout was',
    run(root) {
      execFileSync('mkfifo', [`${root}/fifo`]);
      leave(`${root}/symbolic`, `${root}/link`);
      leave(`${root}/fifo`, `${root}/pipe`);
      const { ino } = lstatSync(`${root}/fifo`);
      leave(`${root}/fifo`, `${root}/again`);
      for (const name of ['symbolic', 'fifo', 'again']) isWhiteout(`${root}/${name}`);
      assert.equal(lstatSync(`${root}/again`).ino, ino);
      assert.ok(lstatSync(`${root}/link`).isSymbolicLink() && lstatSync(`${root}/pipe`).isFIFO());
    },
  },
  {
    name: 'one of two links of a file is moved, and nothing happens where the other is in its place',
    run(root) {
      leave(`${root}/first`, `${root}/second`);
      assert.equal(statSync(`${root}/first`).ino, statSync(`${root}/second`).ino);
      assert.equal(statSync(`${root}/first`).nlink, 2);
      leave(`${root}/first`, `${root}/first`);
      assert.ok(statSync(`${root}/first`).isFile());
      leave(`${root}/first`, `${root}/third`);
      isWhiteout(`${root}/first`);
      assert.equal(statSync(`${root}/third`).ino, statSync(`${root}/second`).ino);
      assert.equal(statSync(`${root}/third`).nlink, 2);
    },
  },
  {
    name: 'what is replaced loses a link, and who has the moved file open goes on reading',
    run(root) {
      const fd = openSync(`${root}/small`, 'r');
      linkSync(`${root}/file`, `${root}/kept`);
      leave(`${root}/small`, `${root}/file`);
      isWhiteout(`${root}/small`);
      assert.equal(statSync(`${root}/kept`).nlink, 1);
      assert.equal(readFileSync(fd, 'utf8'), 'small\n');
      closeSync(fd);
      writeFileSync(`${root}/other`, 'replaces the whiteout');
      leave(`${root}/other`, `${root}/small`);
      assert.equal(readFileSync(`${root}/small`, 'utf8'), 'replaces the whiteout');
      isWhiteout(`${root}/other`);
    },
  },
  {
    name: 'with RENAME_NOREPLACE it is refused where there is something, and with RENAME_EXCHANGE always',
    run(root) {
      const both = RENAME_WHITEOUT | RENAME_NOREPLACE;
      assert.throws(() => renameWith(both, `${root}/small`, `${root}/file`), { code: 'EEXIST' });
      const swapping = RENAME_WHITEOUT | RENAME_EXCHANGE;
      assert.throws(() => renameWith(swapping, `${root}/small`, `${root}/file`), { code: 'EINVAL' });
      assert.throws(() => leave(`${root}/missing`, `${root}/x`), { code: 'ENOENT' });
      assert.throws(() => leave(`${root}/empty`, `${root}/directory`), { code: 'ENOTEMPTY' });
      assert.throws(() => leave(`${root}/directory`, `${root}/directory/x`), { code: 'EINVAL' });
      assert.equal(readFileSync(`${root}/small`, 'utf8'), 'small\n');
      renameWith(both, `${root}/small`, `${root}/free`);
      isWhiteout(`${root}/small`);
    },
  },
];

const rightsCases: readonly MountCase[] = [
  {
    name: 'a whiteout takes no privilege, and is of the user who moved the file',
    run(root) {
      chownSync(`${root}/directory`, USER, GROUP);
      asStranger(() => leave(`${root}/directory/shallow`, `${root}/directory/moved`));
      isWhiteout(`${root}/directory/shallow`, USER, GROUP);
      const { uid, gid } = statSync(`${root}/directory/moved`);
      assert.deepEqual([uid, gid], [0, 0]);
      chmodSync(`${root}/empty`, 0o777);
      chownSync(`${root}/directory/inner`, USER, GROUP);
      asStranger(() => leave(`${root}/directory/inner`, `${root}/empty/inner`));
      isWhiteout(`${root}/directory/inner`, USER, GROUP);
    },
  },
  {
    name: 'it takes the rights of a rename',
    run(root) {
      chmodSync(`${root}/empty`, 0o777);
      const from = (path: string): (() => void) => {
        return () => asStranger(() => leave(`${root}/${path}`, `${root}/empty/x`));
      };
      assert.throws(from('small'), { code: 'EACCES' });
      chmodSync(`${root}/directory`, 0o1777);
      assert.throws(from('directory/shallow'), { code: 'EPERM' }, 'sticky');
      chmodSync(`${root}/directory`, 0o777);
      assert.throws(from('directory/inner'), { code: 'EACCES' }, 'its `..` would change');
      from('directory/shallow')();
      isWhiteout(`${root}/directory/shallow`, USER, GROUP);
    },
  },
  {
    name: 'in a directory with setgid it gets the group of that',
    run(root) {
      chownSync(`${root}/directory`, 0, OTHER_GROUP);
      chmodSync(`${root}/directory`, 0o2777);
      leave(`${root}/directory/shallow`, `${root}/directory/moved`);
      isWhiteout(`${root}/directory/shallow`, 0, OTHER_GROUP);
    },
  },
];

const needs = ['whiteouts'] as const;

export const whiteoutsGroup: MountGroup = {
  name: 'whiteouts',
  cases: [
    ...kindCases.map((one) => ({ ...one, needs })),
    ...rightsCases.map((one) => ({ ...one, needs: [...needs, 'root'] as const })),
  ],
};

/** Whether the filesystem of a host directory supports RENAME_WHITEOUT: overlayfs itself does not. */
export function leavesWhiteouts(directory: string): boolean {
  const [from, to] = [`${directory}/leaves-whiteouts`, `${directory}/leaves-whiteouts-moved`];
  writeFileSync(from, '');
  try {
    leave(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return false;
  } finally {
    for (const path of [from, to]) rmSync(path, { force: true });
  }
}

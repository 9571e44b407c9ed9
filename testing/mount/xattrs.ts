/** Extended attributes: the names that each kind of file can have, and the users who see them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { allocateFixed, libc, systemError } from '../host/libc.ts';
import { tryXattrNames } from '../trees/xattr-table.ts';
import { hostXattrs, type SeenXattrs, setXattr, xattr } from './host-xattrs.ts';
import type { MountCase, MountGroup } from './mount-case.ts';

const CREATE = 1;
const REPLACE = 2;
const VALUE_BYTES_MAX = 65_536;

/** Runs `xattr-child`; `words` come before it, to run it as another user or with other rights. */
function ask(words: readonly string[], ...args: readonly string[]): unknown {
  const child = fileURLToPath(new URL('./xattr-child.js', import.meta.url));
  const [command, ...rest] = [...words, process.execPath, child, ...args];
  return JSON.parse(execFileSync(command!, rest, { encoding: 'utf8' }));
}

const STRANGER = '65534';

const namingCases: readonly MountCase[] = [
  {
    name: 'names are those of ext4, of every kind of file',
    run(root) {
      execFileSync('mkfifo', [`${root}/fifo`]);
      execFileSync('mknod', [`${root}/device`, 'c', '1', '3']);
      const others = [`${root}/symbolic`, `${root}/fifo`, `${root}/device`];
      tryXattrNames(hostXattrs, [`${root}/small`, `${root}/directory`], others);
    },
  },
  {
    name: 'somebody without rights sets what he may write, and sees nothing of trusted.',
    run(root) {
      chmodSync(root, 0o755);
      const [writable, readable, closed] = ['writable', 'readable', 'closed'].map(
        (name) => `${root}/${name}`,
      );
      const sticky = `${root}/sticky`;
      for (const path of [writable, readable, closed]) writeFileSync(path!, '');
      mkdirSync(sticky);
      chmodSync(writable!, 0o666);
      chmodSync(readable!, 0o644);
      chmodSync(closed!, 0o600);
      chmodSync(sticky, 0o1777);
      assert.deepEqual(ask([], 'try', STRANGER, JSON.stringify({ writable, readable, closed, sticky })), {});
    },
  },
];

const valueCases: readonly MountCase[] = [
  {
    name: 'XATTR_CREATE is EEXIST for what is there, XATTR_REPLACE ENODATA for what is not',
    run(root) {
      const path = `${root}/small`;
      assert.throws(() => setXattr(path, 'user.a', 'x', REPLACE), { code: 'ENODATA' });
      assert.throws(() => setXattr(path, 'user.a', 'x', CREATE | REPLACE), { code: 'ENODATA' });
      setXattr(path, 'user.a', 'one', CREATE);
      assert.throws(() => setXattr(path, 'user.a', 'x', CREATE), { code: 'EEXIST' });
      assert.throws(() => setXattr(path, 'user.a', 'x', CREATE | REPLACE), { code: 'EEXIST' });
      assert.throws(() => setXattr(path, 'user.a', 'x', 4), { code: 'EINVAL' });
      assert.equal(xattr(path, 'user.a').toString(), 'one');
      setXattr(path, 'user.a', 'two', REPLACE);
      assert.equal(xattr(path, 'user.a').toString(), 'two');
    },
  },
  {
    name: 'values are of any length up to 64 KiB, which a buffer of size 0 is told',
    run(root) {
      const path = `${root}/small`;
      for (const value of ['', 'x', 'y'.repeat(3000)]) {
        setXattr(path, 'user.a', value);
        assert.equal(libc().lgetxattr(path, 'user.a', allocateFixed(1), 0), value.length);
        assert.equal(xattr(path, 'user.a', 3000).toString(), value);
      }
      assert.throws(() => xattr(path, 'user.a', 2999), { code: 'ERANGE' });
      // A filesystem may have no space for such a value (ENOSPC), but must not refuse its length (E2BIG).
      const errno = libc().lsetxattr(path, 'user.a', allocateFixed(VALUE_BYTES_MAX), VALUE_BYTES_MAX, 0);
      if (errno === 0) assert.equal(xattr(path, 'user.a', VALUE_BYTES_MAX).length, VALUE_BYTES_MAX);
      else assert.match(systemError('lsetxattr').message, /^ENOSPC/);
      const more = VALUE_BYTES_MAX + 1;
      assert.equal(libc().lsetxattr(path, 'user.b', allocateFixed(more), more, 0), -1);
      assert.match(systemError('lsetxattr').message, /^E2BIG/);
    },
  },
];

/** A user with CAP_SYS_ADMIN in the initial user namespace sees `trusted.`, whatever the user's id is. */
const WHO_SEES: readonly (readonly [
  who: string,
  words: readonly string[],
  user: string,
  seesTrusted: boolean,
])[] = [
  ['root', [], '0', true],
  ['another user', [], STRANGER, false],
  [
    'root without CAP_SYS_ADMIN',
    ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'],
    '0',
    false,
  ],
  ['root of a user namespace', ['unshare', '--user', '--map-root-user'], '0', false],
  [
    'another user with CAP_SYS_ADMIN',
    // The second capability lets this user reach the program.
    [
      ...['setpriv', `--reuid=${STRANGER}`, '--inh-caps=+sys_admin,+dac_read_search'],
      '--ambient-caps=+sys_admin,+dac_read_search',
    ],
    STRANGER,
    true,
  ],
];

/** Another user writes a file of an overlay. $1 is its lower directory; $2 holds its other directories. */
const WRITE_THROUGH_OVERLAY = `
cd "$2"
mkdir upper work merged
mount -t overlay overlay -o "lowerdir=$1,upperdir=upper,workdir=work" merged
setpriv --reuid ${STRANGER} --clear-groups sh -c 'echo x >> merged/shallow'
`;

const listingCases: readonly MountCase[] = [
  {
    name: 'an overlay over it takes names of trusted. along at copy-up, for every writer',
    run(root) {
      chmodSync(`${root}/directory/shallow`, 0o666);
      setXattr(`${root}/directory/shallow`, 'trusted.kept', 'value');
      const scratch = mkdtempSync(join(directoryOnDisk(), 'ramet-overlay-'));
      try {
        chmodSync(scratch, 0o755);
        const shell = ['sh', '-ec', WRITE_THROUGH_OVERLAY, 'sh', `${root}/directory`, scratch];
        execFileSync('unshare', ['--mount', '--', ...shell], { stdio: 'pipe' });
        assert.equal(readFileSync(`${scratch}/upper/shallow`, 'utf8'), 'shallow\nx\n');
        assert.equal(xattr(`${scratch}/upper/shallow`, 'trusted.kept').toString(), 'value');
      } finally {
        rmSync(scratch, { recursive: true });
      }
    },
  },
  ...WHO_SEES.map(([who, words, user, seesTrusted]) => ({
    name: `${who} ${seesTrusted ? 'is shown' : 'is not shown'} names of trusted., in the list and in its length`,
    run(root: string): void {
      const path = `${root}/small`;
      for (const name of ['trusted.hidden', 'user.shown', 'security.shown', 'trusted.overlay.opaque'])
        setXattr(path, name, 'value');
      const names = ['security.shown', 'trusted.hidden', 'trusted.overlay.opaque', 'user.shown'];
      const seen = seesTrusted ? names : names.filter((name) => !name.startsWith('trusted.'));
      const lengthBytes = Buffer.byteLength(seen.map((name) => `${name}\0`).join(''));
      // The cast: the child prints this type.
      const { names: shown, ...lengths } = ask(words, 'list', user, path) as SeenXattrs;
      assert.deepEqual([...shown].sort(), seen);
      assert.deepEqual(lengths, { lengthBytes, readBytes: lengthBytes, inLess: 'ERANGE' });
    },
  })),
  {
    name: 'cp --preserve=xattr takes what a plain user may read',
    run(root) {
      chmodSync(`${root}/empty`, 0o777);
      setXattr(`${root}/small`, 'trusted.hidden', 'value');
      setXattr(`${root}/small`, 'user.shown', 'value');
      const line = ['cp', '--preserve=xattr', `${root}/small`, `${root}/empty/copy`];
      execFileSync(line[0]!, line.slice(1), { uid: Number(STRANGER), gid: Number(STRANGER), stdio: 'pipe' });
      assert.equal(xattr(`${root}/empty/copy`, 'user.shown').toString(), 'value');
      assert.throws(() => xattr(`${root}/empty/copy`, 'trusted.hidden'), { code: 'ENODATA' });
    },
  },
];

/** All these cases set attributes that only root may set. */
export const xattrsGroup: MountGroup = {
  name: 'xattrs',
  cases: [...namingCases, ...valueCases, ...listingCases].map((one) => ({ ...one, needs: ['root'] })),
};

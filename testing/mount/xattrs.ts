/** Extended attributes: which there are, of which files, and who sees them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allocateFixed, libc, systemError } from '../libc.ts';
import { tryXattrNames } from '../xattr-table.ts';
import { hostXattrs, setXattr, xattr } from './host-xattrs.ts';
import type { MountCase, MountGroup } from './mount-case.ts';

const CREATE = 1;
const REPLACE = 2;
const VALUE_BYTES_MAX = 65_536;

/** Runs `xattr-child`, as another user or in other clothes: the words before it. */
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
      // A filesystem may have no room for so much: it is not too much to ask for.
      const errno = libc().lsetxattr(path, 'user.a', allocateFixed(VALUE_BYTES_MAX), VALUE_BYTES_MAX, 0);
      if (errno === 0) assert.equal(xattr(path, 'user.a', VALUE_BYTES_MAX).length, VALUE_BYTES_MAX);
      else assert.match(systemError('lsetxattr').message, /^ENOSPC/);
      const more = VALUE_BYTES_MAX + 1;
      assert.equal(libc().lsetxattr(path, 'user.b', allocateFixed(more), more, 0), -1);
      assert.match(systemError('lsetxattr').message, /^E2BIG/);
    },
  },
];

/** All of them set what only root may set. */
export const xattrsGroup: MountGroup = {
  name: 'xattrs',
  cases: [...namingCases, ...valueCases].map((one) => ({ ...one, needs: ['root'] })),
};

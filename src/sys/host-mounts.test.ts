/** HostMounts, on mount tables that a machine might have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/index.ts';
import { HostMounts } from './host-mounts.ts';
import { type MountInfo, mountsOnWay } from './mount-info.ts';

/** Each line: id, parent, directory, type, and options if they matter. The device number of a disk begins with 8. */
function tableOf(...lines: readonly (readonly [number, number, string, string, string?])[]): MountInfo[] {
  return lines.map(([id, parent, directory, type, options = 'rw']) => {
    const device = ['ext4', 'xfs', 'fuseblk'].includes(type) ? `8:${id}` : `0:${id}`;
    return { id, parent, directory, type, device, source: 'none', options, isCovered: false };
  });
}

const USUAL = tableOf(
  [20, 1, '/', 'ext4'],
  [21, 20, '/proc', 'proc'],
  [22, 20, '/tmp', 'tmpfs'],
  [23, 20, '/data', 'xfs'],
  [24, 23, '/data/me/remote', 'fuse.sshfs'],
  [25, 20, '/work/try', 'fuse.ramet'],
  [26, 25, '/work/try/data', 'ext4'],
  [27, 20, '/net', 'nfs4'],
  [28, 20, '/usb', 'fuseblk'],
  [29, 20, '/merged', 'overlay', 'rw,lowerdir=/work/try:/data/me,upperdir=/tmp/up,workdir=/tmp/work'],
  [30, 20, '/merged2', 'overlay', 'rw,lowerdir=/merged:/data'],
  [31, 20, '/contained', 'overlay', 'rw,lowerdir=l/ABC:l/DEF,upperdir=/tmp/up,workdir=/tmp/work'],
);
const hostMounts = (table: readonly MountInfo[] = USUAL): HostMounts =>
  new HostMounts({ mounts: () => table, clock: new ManualClock() });

test('the way to a path leads through the mounts that hold it, and not through hidden ones', () => {
  const way = (path: string, table = USUAL): string[] =>
    mountsOnWay(table, path).map(({ directory }) => directory);
  assert.deepEqual(way('/data/me/remote/x'), ['/', '/data', '/data/me/remote']);
  assert.deepEqual(way('/datas'), ['/']);
  assert.deepEqual(way('/work/try/data'), ['/', '/work/try', '/work/try/data']);
  assert.deepEqual(way('/'), ['/']);
  // A mount at /a/b that a later mount at /a hides; two mounts on top of each other at /c.
  const covered = tableOf(
    [20, 1, '/', 'ext4'],
    [21, 20, '/a/b', 'fuse.ramet'],
    [22, 20, '/a', 'tmpfs'],
    [23, 20, '/c', 'ext4'],
    [24, 23, '/c', 'fuse.ramet'],
  );
  assert.deepEqual(
    mountsOnWay(covered, '/a/b/c').map(({ id }) => id),
    [20, 22],
  );
  assert.deepEqual(
    mountsOnWay(covered, '/c').map(({ id }) => id),
    [20, 23, 24],
  );
  assert.deepEqual(mountsOnWay([], '/a'), []);
});

test('local filesystems are local, and so are overlays and mounts that depend only on local ones', () => {
  const mounts = hostMounts();
  for (const path of ['/', '/data/me', '/tmp/x', '/proc', '/contained/x'])
    assert.ok(mounts.isLocal(path), path);
  for (const path of [
    '/data/me/remote',
    '/work/try/x',
    '/work/try/data',
    '/net/x',
    '/usb',
    '/merged',
    '/merged2/x',
  ])
    assert.ok(!mounts.isLocal(path), path);
});

test('a path leads through a filesystem type by a mount above it, or by the layers of an overlay', () => {
  const mounts = hostMounts();
  for (const path of ['/work/try', '/work/try/data/x', '/merged/x', '/merged2'])
    assert.ok(mounts.leadsThrough(path, 'fuse.ramet'), path);
  for (const path of ['/', '/work', '/data/me/remote', '/contained'])
    assert.ok(!mounts.leadsThrough(path, 'fuse.ramet'), path);
});

test('cached attributes are used only where reading them asks no server', () => {
  const mounts = hostMounts();
  assert.ok(mounts.mayLookCached('/data/me'), 'a FUSE mount inside is not asked');
  assert.ok(mounts.mayLookCached('/tmp'));
  assert.ok(!mounts.mayLookCached('/'), 'an NFS mount inside is asked');
  assert.ok(!mounts.mayLookCached('/data/me/remote'), 'attributes that FUSE has cached may be old');
});

test('the table is read again once a second', () => {
  let table = tableOf([20, 1, '/', 'ext4']);
  const clock = new ManualClock();
  const mounts = new HostMounts({ mounts: () => table, clock });
  assert.ok(mounts.isLocal('/net'));
  table = USUAL;
  assert.ok(mounts.isLocal('/net'));
  clock.advance(2);
  assert.ok(!mounts.isLocal('/net'));
});

/** The kernel's table of mounts, with any characters in names. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { createKernel, createSystem, type Kernel } from './index.ts';
import { deviceMountedAt, mountedPlaces, mountsOf, mountsOnWay, placeOf } from './mount-info.ts';

test('mount points with spaces, backslashes, newlines and beyond ASCII', { skip: mountsOnly }, (context) => {
  const kernel = createKernel() as Kernel; // The cast: where mounts can be made, libc can be loaded.
  const directory = join(scratchDirectory(context), 'a b\\134\n\tü');
  mkdirSync(directory);
  const bytes = Buffer.from(directory).toString('latin1');
  const mountTypeAt = (path: string) => mountsOnWay(createSystem().mounts(), path).at(-1)?.type;
  const typeBefore = mountTypeAt(bytes);
  assert.equal(deviceMountedAt(directory), undefined);
  kernel.mount('ramet-test', directory, 'tmpfs', 0, '');
  try {
    const device = deviceMountedAt(directory);
    assert.match(device ?? '', /^[0-9]+:[0-9]+$/);
    const places = mountedPlaces().filter((place) => place.directory === directory);
    assert.deepEqual(places, [{ directory, isFuse: false, device, isCovered: false }]);
    const mounts = mountsOf().filter((mount) => mount.directory === bytes);
    assert.equal(mounts.length, 1);
    const { id, parent, options, ...mount } = mounts[0]!;
    assert.deepEqual(mount, {
      directory: bytes,
      type: 'tmpfs',
      device,
      source: 'ramet-test',
      isCovered: false,
    });
    assert.ok(id > 0 && parent > 0);
    assert.match(options, /^rw/);
    assert.deepEqual([mountTypeAt(bytes), mountTypeAt(`${bytes}/sub`)], ['tmpfs', 'tmpfs']);
    assert.equal(mountTypeAt(`${bytes}-beside`), typeBefore);
  } finally {
    kernel.unmount(directory, 0);
  }
  assert.equal(deviceMountedAt(directory), undefined);
});

test('a mount that was moved on top of another hides it', { skip: mountsOnly }, (context) => {
  const directory = scratchDirectory(context);
  const [own, place, older] = ['own', 'own/place', 'own/older'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const mount = (...args: string[]): void => void execFileSync('mount', args);
  mkdirSync(own);
  // A mount cannot be moved if its parent mount is shared, so this test has a private parent.
  mount('-t', 'tmpfs', 'ramet-test', own);
  try {
    mount('--make-private', own);
    for (const name of [place, older]) mkdirSync(name);
    mount('-t', 'tmpfs', 'ramet-test', older);
    const olderDevice = deviceMountedAt(older);
    mount('-t', 'tmpfs', 'ramet-test', place);
    const device = deviceMountedAt(place)!;
    assert.equal(placeOf(device, place, 'umount'), place);
    mount('--move', older, place);
    assert.notEqual(device, olderDevice);
    assert.equal(deviceMountedAt(place), olderDevice);
    assert.throws(() => placeOf(device, place, 'umount'), { code: 'EBUSY' });
    execFileSync('umount', [place]);
    assert.equal(placeOf(device, older, 'umount'), place, 'placeOf finds the mount at whatever path it is');
    execFileSync('umount', [place]);
    assert.equal(placeOf(device, place, 'umount'), undefined);
  } finally {
    execFileSync('umount', ['--recursive', own]);
  }
});

test('a process that is not there has no mounts', () => {
  assert.deepEqual(mountedPlaces('none'), []);
});

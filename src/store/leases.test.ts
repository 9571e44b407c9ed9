/** Leases of processes, and the locks of layers. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { SharedStore } from '../../testing/stores/shared-store.ts';
import { FsError, isFsError } from '../base/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';
import { LayerLock } from './layer-lock.ts';
import { decodeLease, encodeLease, LEASE_BYTES, NO_EPOCH } from './lease-format.ts';
import { Lease, livingLeases } from './leases.ts';

const system = createSystem();

/** The run directory of a store. */
async function runDirectory(scratch: SharedStore): Promise<string> {
  const engine = await scratch.open();
  await engine.close();
  return engine.layout.runDirectory;
}

test('a lease has the epoch of the oldest open tree until the last is closed', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  const lease = Lease.take(system, directory);
  const epoch = (): number => livingLeases(system, directory)[0]!.epoch;
  const [first, second] = [{}, {}];
  assert.deepEqual(livingLeases(system, directory), [{ epoch: NO_EPOCH, pid: process.pid }]);
  lease.hold(first, 5);
  assert.equal(epoch(), 5);
  lease.hold(second, 7);
  assert.equal(epoch(), 5, 'what the older tree knew may have been handed to the younger');
  lease.release(first);
  assert.equal(epoch(), 5);
  lease.release(second);
  assert.equal(epoch(), NO_EPOCH);
  lease.release(second);
  lease.hold(first, 9);
  assert.equal(epoch(), 9);
  lease.close();
  assert.deepEqual(readdirSync(directory), []);
});

test('a lease only moves up, and only while a tree is open', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  const lease = Lease.take(system, directory);
  const epoch = (): number => livingLeases(system, directory)[0]!.epoch;
  lease.advance(3);
  assert.equal(epoch(), NO_EPOCH);
  lease.hold({}, 3);
  lease.advance(8);
  assert.equal(epoch(), 8);
  assert.equal(lease.heldEpoch, 8);
  lease.advance(4);
  assert.equal(epoch(), 8);
  lease.close();
});

test('the lease of a dead process does not count, and its file is removed', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  const faulty = new FaultySystem(system);
  Lease.take(faulty, directory).hold({}, 1);
  assert.equal(livingLeases(system, directory).length, 1);
  faulty.crash();
  assert.deepEqual(livingLeases(system, directory), []);
  assert.deepEqual(readdirSync(directory), []);
});

test('other files in the directory are left alone', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  writeFileSync(`${directory}/other`, '');
  assert.deepEqual(livingLeases(system, directory), []);
  assert.deepEqual(readdirSync(directory), ['other']);
});

test('a lease whose file a scan removed before it was locked is taken again', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  // The scan runs between the creation of the file and its lock.
  let scans = 0;
  const faulty = new FaultySystem(system, (operation) => {
    if (operation === 'tryLock' && scans++ === 0) assert.deepEqual(livingLeases(system, directory), []);
    return undefined;
  });
  const lease = Lease.take(faulty, directory);
  lease.hold({}, 4);
  assert.deepEqual(livingLeases(system, directory), [{ epoch: 4, pid: process.pid }]);
  assert.equal(scans, 2);
  lease.close();
});

test('a lease whose file is incomplete counts as the oldest', () => {
  assert.deepEqual(decodeLease(Buffer.alloc(0)), { epoch: 0, pid: 0 });
  assert.deepEqual(decodeLease(encodeLease({ epoch: 7, pid: 8 }).subarray(0, LEASE_BYTES - 1)), {
    epoch: 0,
    pid: 0,
  });
  const whole = { epoch: NO_EPOCH, pid: 4_000_000_000 };
  assert.deepEqual(decodeLease(encodeLease(whole)), whole);
});

test('errors of the disk are thrown, a missing file is not an error', async () => {
  await using scratch = new SharedStore();
  const directory = await runDirectory(scratch);
  const faulty = new FaultySystem(system);
  const lease = Lease.take(faulty, directory);
  faulty.plan = (operation) => (operation === 'pread' ? { kind: 'error', code: 'EIO' } : undefined);
  assert.throws(
    () => livingLeases(faulty, directory),
    (error) => isFsError(error, 'EIO'),
  );
  faulty.plan = (operation) => (operation === 'open' ? { kind: 'error', code: 'ENOENT' } : undefined);
  assert.deepEqual(livingLeases(faulty, directory), []);
  faulty.plan = (operation) => (operation === 'open' ? { kind: 'error', code: 'EACCES' } : undefined);
  assert.throws(() => Lease.take(faulty, directory), FsError);
  faulty.plan = undefined;
  system.unlink(`${directory}/${readdirSync(directory)[0]!}`);
  lease.close();
});

test('a layer has one lock at a time, and none on a file that gc removed', async () => {
  await using scratch = new SharedStore();
  const path = `${await runDirectory(scratch)}/17`;
  assert.equal(LayerLock.takeExisting(system, path), undefined);
  const lock = LayerLock.take(system, path);
  assert.throws(
    () => LayerLock.take(system, path),
    (error) => isFsError(error, 'EBUSY'),
  );
  assert.throws(
    () => LayerLock.takeExisting(system, path),
    (error) => isFsError(error, 'EBUSY'),
  );
  assert.equal(LayerLock.isHeld(system, path), true);
  lock.abandon();
  assert.equal(LayerLock.isHeld(system, path), false);
  const again = LayerLock.takeExisting(system, path)!;
  again.release();
  again.release();
  assert.equal(LayerLock.takeExisting(system, path), undefined);
  let removals = 0;
  const faulty = new FaultySystem(system, (operation) => {
    if (operation === 'tryLock' && removals++ === 0) system.unlink(path);
    return undefined;
  });
  const taken = LayerLock.take(faulty, path);
  assert.throws(
    () => LayerLock.take(system, path),
    (error) => isFsError(error, 'EBUSY'),
    'the file that has the name is locked',
  );
  taken.release();
});

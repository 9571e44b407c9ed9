/** openByNames leaks no descriptor. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { FsError, isFsError } from '../base/index.ts';
import { openByNames, type StepCalls } from './open-by-names.ts';
import { O_DIRECTORY, O_PATH } from './open-flags.ts';

test('whichever call fails, no descriptor stays open', () => {
  const opened = new Set<number>();
  let modesLeft = 0;
  let last = 10;
  const calls: StepCalls = {
    open: () => {
      opened.add(++last);
      return last;
    },
    modeOf: () => {
      if (modesLeft-- === 0) throw new FsError('EIO');
      return 0o040755;
    },
    close: (fd) => void opened.delete(fd),
  };
  const openDirectory = (): number => openByNames(calls, 3, Buffer.from('a/b/c'), O_PATH | O_DIRECTORY, 0);
  for (let modes = 0; modes < 4; modes++) {
    modesLeft = modes;
    assert.throws(openDirectory, (error) => isFsError(error, 'EIO'));
    assert.deepEqual([...opened], [], `after ${modes} modes`);
  }
  modesLeft = 4;
  const fd = openDirectory();
  assert.deepEqual([...opened], [fd]);
});

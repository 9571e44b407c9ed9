/** The ends of a copy: what their errors say. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { FsError } from '../base/index.ts';
import { createSystem, O_PATH } from '../sys/index.ts';
import { HostCopies } from './copy-end.ts';

test('a directory of the host that may not be opened is an error of open, not of scandir', (context) => {
  const closed = join(scratchDirectory(context), 'closed');
  mkdirSync(closed);
  const system = createSystem();
  const host = new HostCopies({
    ...system,
    openAt(directory, name, flags, mode) {
      if (name.toString() === 'closed' && (flags & O_PATH) === 0)
        throw new FsError('EACCES', { syscall: 'open' });
      return system.openAt(directory, name, flags, mode);
    },
  });
  context.after(() => host.close());
  const { end, path } = host.place(closed, () => true);
  assert.throws(() => end.names(path), { code: 'EACCES', syscall: 'open', path: closed });
});

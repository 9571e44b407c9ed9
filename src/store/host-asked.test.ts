/** No call goes to the host while the tables are locked, because all other writers of the store would wait for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { HostTree } from '../../testing/trees/host-tree.ts';
import { createSystem, type System } from '../sys/index.ts';

const ASKS: ReadonlySet<string | symbol> = new Set<keyof System>([
  'statAt',
  'statFile',
  'openBeneath',
  'openHost',
  'readHostDirectory',
  'readHostLink',
  'readHostXattrs',
]);

test('a checkpoint, a freeze and a close ask the host only while the tables are unlocked', {
  skip: nativeOnly,
}, async (context) => {
  let isLocked = (): boolean => false;
  const asked = { unlocked: 0, locked: [] as string[] };
  const system = new Proxy(createSystem(), {
    get(target, name: keyof System) {
      if (ASKS.has(name)) {
        if (isLocked()) asked.locked.push(name);
        else asked.unlocked++;
      }
      return target[name];
    },
  });
  const host = await HostTree.create(context, { system });
  const { tables } = host.engine;
  isLocked = () => tables.isInTransaction;
  for (const round of ['checkpoint', 'freeze', 'close']) {
    for (const name of ['removed', 'read', 'changed', 'directory/moved', 'directory/inner'])
      host.write(`${round}/${name}`);
  }
  const tree = host.fork('fork');
  const { fileSystem } = tree;
  const change = (round: string): void => {
    fileSystem.unlink(`/${round}/removed`);
    fileSystem.chmod(`/${round}/changed`, 0o600, true);
    fileSystem.rename(`/${round}/directory/moved`, `/${round}/moved`);
    // The checkpoint records a time of access.
    fileSystem.setTimes(`/${round}/read`, { seconds: 1, nanoseconds: 0 }, 'omit', true);
    fileSystem.readDirectory(`/${round}/directory`);
    asked.unlocked = 0;
  };
  const works = { checkpoint: () => tree.checkpoint(), freeze: () => host.engine.freeze(tree) };
  for (const [round, work] of Object.entries(works)) {
    change(round);
    work();
    assert.deepEqual([asked.unlocked > 0, asked.locked], [true, []], round);
  }
  change('close');
  tree.close();
  assert.deepEqual([asked.unlocked > 0, asked.locked], [true, []], 'close');
});

/** The command and a store of another user. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { asPlainUser, UID, whyNoPlainUser } from '../../testing/mount/as-plain-user.ts';

const notRoot = process.geteuid?.() === 0 ? false : 'needs root, to give files away';

test('every command refuses a store of another user, unless it is trusted', { skip: notRoot }, (context) => {
  const command = new ScratchCommand(context);
  command.must('init');
  mkdirSync(command.at('tree'));
  assert.equal(spawnSync('chown', ['-R', `${UID}`, command.at('.ramet')]).status, 0);
  for (const args of [
    ['ls'],
    ['fsck'],
    ['import', 'tree', '--name', 'new'],
    ['owner', 'status'],
    ['umount', 'new'],
  ]) {
    assert.match(
      command.mustFail(1, ...args),
      /belongs to user 65534, and this is user 0: use it as that user, or/,
    );
  }
  const problem = JSON.parse(command.mustFail(1, 'ls', '--json')) as { error: { code: string } };
  assert.equal(problem.error.code, 'ERR_STORE_OWNER');
  command.must('--trust-store', 'import', 'tree', '--name', 'new');
  assert.match(command.runWith({ RAMET_TRUST_STORE: '1' }, 'ls').out, /^new /m);
  assert.equal(command.runWith({ RAMET_TRUST_STORE: '0' }, 'ls').code, 1);
});

test('a store that others can reach gives a warning on stderr, once', (context) => {
  const command = new ScratchCommand(context);
  command.must('init');
  chmodSync(command.at('.ramet'), 0o777);
  const { code, err } = command.run('ls', '--json');
  assert.equal(code, 0);
  assert.match((JSON.parse(err) as { warning: string }).warning, /chmod go-rwx/);
  command.must('ls');
});

test('a plain user can neither read nor lock the store of root', { skip: whyNoPlainUser() }, (context) => {
  const command = new ScratchCommand(context);
  mkdirSync(command.at('tree'));
  writeFileSync(command.at('tree/secret'), 'secret', { mode: 0o600 });
  command.must('init');
  command.must('import', command.at('tree'), '--name', 'tree');
  chmodSync(command.directory, 0o755);
  mkdirSync(command.at('devices'));
  const store = command.at('.ramet');
  const asOther = (...args: string[]) => asPlainUser(command.at('devices'), ...args);
  assert.match(
    String(asOther(process.execPath, rametMain, '--store', store, 'ls').stderr),
    /belongs to user 0/,
  );
  assert.notEqual(asOther('grep', '-r', 'secret', store).status, 0);
  assert.notEqual(asOther('flock', '--nonblock', `${store}/meta`, 'true').status, 0);
});

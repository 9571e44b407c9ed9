/**
 * A fork of a directory of which the user may not read all files: errors name the path in the tree and the one on the
 * host. The whole program runs as a user without privileges; the tests compare its whole output, so that no error names
 * a path that users do not know.
 */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { rametMain } from '../command/scratch-command.ts';
import { asPlainUser, UID, whyNoPlainUser } from './as-plain-user.ts';

const library = new URL('../../src/index.js', import.meta.url).href;

/** $1: node; $2: the program; $3: the working directory. */
const BEGIN = `
node=$1 main=$2
cd "$3"
ramet() { "$node" "$main" "$@" 2>&1 || true; }
chmod 000 repo/closed repo/file
chmod 311 repo/unlisted
chmod 644 repo/unsearched
`;

const COMMANDS = `
ramet ls fork:/closed
ramet ls fork:/unlisted
ramet ls fork:/unsearched
ramet stat fork:/unsearched/link
ramet cat fork:/closed/in/deep
ramet cat fork:/file
ramet cp -r fork:/ out
ramet cp "$main" fork:/closed/new
ramet rm -r fork:/closed
ramet rm fork:/unsearched/link
`;

const UNMOUNTED = `${BEGIN}
ramet init >/dev/null
ramet fork ./repo fork >/dev/null
${COMMANDS}
ramet export fork out-of
ramet export fork out-of.tar
ramet import repo --name base --skip-unreadable
ramet diff fork base
ramet snapshot fork done
ramet ls done:/closed
ramet fork --lower done --lower ./repo union
ramet ls union:/closed
"$node" --input-type=module --eval '
const { Store } = await import(${JSON.stringify(library)});
const store = await Store.open(".ramet");
const { fs } = await store.fork("fork");
for (const call of [
  () => fs.readdirSync("/closed"),
  () => fs.readdirSync("/closed/in"),
  () => fs.statSync("/unsearched/link"),
  () => fs.readlinkSync("/unsearched/link"),
  () => fs.readFileSync("/file"),
  () => fs.copyFileSync("/file", "/copy"),
]) {
  try { call(); console.log("did not fail"); } catch (error) { console.log(error.message); }
}
await store.close();
'
chmod 700 repo/closed repo/unsearched repo/unlisted
chmod 600 repo/file
ramet import repo --name whole >/dev/null
ramet fork whole target >/dev/null
ramet cp "$main" target:/closed/in/deep >/dev/null
chmod 500 repo/closed/in
ramet commit target
chmod 000 repo/closed
ramet commit target
chmod 000 repo
ramet ls fork:/
ramet cat fork:/file
`;

const MOUNTED = `${BEGIN}
ramet init >/dev/null
ramet fork ./repo fork >/dev/null
trap 'ramet owner stop >/dev/null' EXIT
ramet mount fork place >/dev/null
${COMMANDS}
`;

/** Asserts that a line of output names only paths of the tree or the host, and none that is internal to the program. */
function checkLine(line: string): void {
  assert.doesNotMatch(line, /\/proc\/|openat2 '[^/]|\/\.'/);
}

function runSession(
  context: TestContext,
  session: string,
): { readonly lines: string[]; readonly root: string } {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-unreadable-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'devices'));
  const home = join(directory, 'home');
  const made = ['', 'place', 'repo', 'repo/closed', 'repo/closed/in', 'repo/unlisted', 'repo/unsearched'];
  for (const name of made) mkdirSync(join(home, name));
  const files = ['repo/file', 'repo/closed/in/deep'];
  for (const name of files) writeFileSync(join(home, name), 'content\n');
  symlinkSync('deep', join(home, 'repo/unsearched/link'));
  for (const name of [...made, ...files]) chownSync(join(home, name), UID, UID);
  const { status, stdout, stderr } = asPlainUser(
    join(directory, 'devices'),
    ...['sh', '-ec', session, 'sh', process.execPath, rametMain, home],
  );
  assert.deepEqual([status, `${stderr}`], [0, '']);
  const lines = `${stdout}`.trimEnd().split('\n');
  lines.forEach(checkLine);
  return { lines, root: join(home, 'repo') };
}

const denied = (what: string, note = ''): string => `EACCES: permission denied, ${what}${note}`;

describe('a fork of a directory of which the user may not read all files', { skip: whyNoPlainUser() }, () => {
  test('errors name the path in the tree, and the one on the host', (context) => {
    const { lines, root } = runSession(context, UNMOUNTED);
    const closed = ` (of the host directory '${root}/closed')`;
    const unsearched = ` (of the host directory '${root}/unsearched')`;
    const file = ` (of the host file '${root}/file')`;
    for (const line of [
      `ramet: ${denied("scandir 'fork:/closed'", closed)}`,
      `ramet: ${denied("scandir 'fork:/unlisted'", ` (of the host directory '${root}/unlisted')`)}`,
      `ramet: ${denied("scandir 'fork:/unsearched'", unsearched)}`,
      `ramet: ${denied("lstat 'fork:/unsearched/link'", unsearched)}`,
      `ramet: ${denied("open 'fork:/closed/in/deep'", closed)}`,
      `ramet: ${denied("read 'fork:/file'", file)}`,
      `ramet: ${denied("scandir 'done:/closed'", closed)}`,
      `ramet: ${denied("scandir 'union:/closed'", closed)}`,
      denied("scandir '/closed'", closed),
      denied("scandir '/closed/in'", closed),
      denied("stat '/unsearched/link'", unsearched),
      denied("readlink '/unsearched/link'", unsearched),
      denied('read', file),
      denied("copyfile '/file' -> '/copy'", file),
      `ramet: ${denied("scandir 'fork:/'", ` (of the host directory '${root}')`)}`,
    ]) {
      assert.ok(lines.includes(line), `${line}\n\nis none of\n${lines.join('\n')}`);
    }
    const refused = lines.filter((line) => line.startsWith('ramet:') && line.includes(`'${root}/closed/in`));
    assert.equal(
      refused.length,
      2,
      `each commit names what it could not write or look at: ${lines.join('\n')}`,
    );
  });

  test('the same through a mount, where the kernel passes on only the error code', (context) => {
    const { lines } = runSession(context, MOUNTED);
    for (const what of ["scandir 'fork:/closed'", "open 'fork:/closed/in/deep'"])
      assert.ok(
        lines.some((line) => line.startsWith(`ramet: ${denied(what)}`)),
        lines.join('\n'),
      );
  });
});

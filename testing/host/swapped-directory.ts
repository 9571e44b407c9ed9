/** Swaps a directory for a symlink while some work runs in it, and checks that the symlink's target stays untouched. */
import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FaultySystem, type System } from '../../src/sys/index.ts';

/** The target of the symlink, with the same names as the directory that the work is about. */
export class Outside {
  readonly path: string;
  private readonly before: string;

  constructor(path: string, names: readonly string[]) {
    this.path = path;
    mkdirSync(path);
    for (const name of names) {
      if (name.endsWith('/')) mkdirSync(join(path, name), { mode: 0o751 });
      else writeFileSync(join(path, name), `the secret of ${name}`, { mode: 0o640 });
    }
    this.before = this.describe();
  }

  requireUntouched(text: string): void {
    assert.equal(this.describe(), this.before, text);
  }

  private describe(): string {
    const names = (readdirSync(this.path, { recursive: true }) as string[]).sort();
    return ['', ...names]
      .map((name) => {
        const path = join(this.path, name);
        const { mode, uid, gid, nlink, mtimeMs } = lstatSync(path);
        const content = lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '';
        return `${name} ${mode.toString(8)} ${uid}:${gid} ${nlink} ${mtimeMs} ${content}`;
      })
      .join('\n');
  }
}

/**
 * Runs `work` once for each system call that `work` makes on a path that `isCounted` accepts. Just before that call the
 * directory is replaced by a symlink to `outside`. `prepare` makes the directory anew, and returns its path.
 */
export async function atEveryCall(
  inner: System,
  outside: Outside,
  prepare: () => string,
  work: (system: System) => unknown,
  isCounted: (path: string) => boolean = () => true,
): Promise<number> {
  for (let call = 0; ; call++) {
    const place = prepare();
    let isOver = true;
    let text = '';
    let counted = 0;
    const system = new FaultySystem(inner, (operation, _index, path) => {
      if (
        !isCounted(path) ||
        counted++ < call ||
        !isOver ||
        !existsSync(place) ||
        lstatSync(place).isSymbolicLink()
      )
        return undefined;
      isOver = false;
      text = `before call ${call}, ${operation} ${path}`;
      renameSync(place, `${place}-aside`);
      symlinkSync(outside.path, place);
      return undefined;
    });
    try {
      await work(system);
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error, `${text}: ${String(error)}`);
    }
    outside.requireUntouched(text);
    if (isOver) return call;
  }
}

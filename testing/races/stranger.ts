/** A process of another user, which swaps names in a directory while root works there. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOf } from '../../src/sys/index.ts';
import { Outside } from '../host/swapped-directory.ts';
import { scratchDirectory } from '../stores/scratch-store.ts';

export const STRANGER = 65534;
const MAIN = fileURLToPath(new URL('./stranger-child.js', import.meta.url));

/** The names in the tree, and in the directory outside. */
const NAMES = [
  ...['a', 'b', 'last', 'at/', 'sub/', 'sub/c', 'sub/deep/', 'sub/deep/d', 'sub/deep/e'],
  // Many more names, so that the work takes longer than one swap.
  ...Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? `sub/deep/d${index}` : `sub/c${index}`)),
];
/** Content of the stranger's files; files outside have another content. */
export const PLAIN = 'plain ';

/** What a name is swapped for; `gone` for nothing: the name is moved away and back. */
type Kind = 'link' | 'fifo' | 'device' | 'directory' | 'hard' | 'gone';

/** A directory of the stranger's with `tree` in it, and a directory of root's outside, which must stay as it is. */
export class Scene {
  readonly directory: string;
  readonly outside: Outside;
  private readonly child: ChildProcess;
  private readonly answers: AsyncIterator<string>;
  /** How often the stranger has swapped something in. */
  swaps = 0;

  constructor(context: TestContext) {
    context.after(() => {
      this.child.kill('SIGKILL');
      this.unmountAll();
    });
    this.directory = scratchDirectory(context);
    chmodSync(this.directory, 0o711);
    this.outside = new Outside(this.at('outside'), [...NAMES, 'only-outside']);
    mkdirSync(this.at('kept'), 0o700);
    execFileSync('mkfifo', ['-m', '666', this.at('kept/fifo')]);
    execFileSync('mknod', ['-m', '666', this.at('kept/device'), 'c', '1', '5']);
    this.child = spawn(process.execPath, [MAIN], {
      uid: STRANGER,
      gid: STRANGER,
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.answers = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  at(name: string): string {
    return join(this.directory, name);
  }

  get tree(): string {
    return this.at('world/tree');
  }

  /** The mount points of this type, or of any, below a directory. */
  mountPoints(below = this.directory, type?: string): string[] {
    return mountsOf()
      .filter((mount) => type === undefined || mount.type === type)
      .map((mount) => mount.directory)
      .filter((place) => place.startsWith(`${below}/`));
  }

  unmountAll(below?: string): void {
    for (const place of this.mountPoints(below)) spawnSync('umount', ['--lazy', place]);
  }

  /** Removes the stranger's directories, with their links to files outside, and asserts that `outside` is unchanged. */
  requireUntouched(text: string): void {
    rmSync(this.at('world'), { recursive: true, force: true });
    this.outside.requireUntouched(text);
  }

  /** Makes the stranger's directories; with `isEmpty` the tree is left empty. */
  prepare(isEmpty = false): void {
    for (const name of ['world', 'world/tree', 'world/aside']) mkdirSync(this.at(name), { recursive: true });
    if (!isEmpty) {
      for (const name of NAMES) {
        if (name.endsWith('/')) mkdirSync(join(this.tree, name));
        else writeFileSync(join(this.tree, name), PLAIN);
      }
    }
    giveAway(this.at('world'));
  }

  /** Runs `work` while the stranger swaps some of these names, chosen at random: fewer names are swapped more often. */
  async during<T>(swapped: Readonly<Record<string, readonly Kind[]>>, work: () => Promise<T>): Promise<T> {
    const swaps = Object.entries(swapped).flatMap(([name, kinds]) =>
      kinds.map((kind) => [join(this.at('world'), name), this.aside(name, kind)]),
    );
    const some = swaps.sort(() => Math.random() - 0.5).slice(0, Math.random() < 0.5 ? 1 : 4);
    await this.tell(JSON.stringify(some));
    try {
      return await work();
    } finally {
      await this.tell('');
    }
  }

  private aside(name: string, kind: Kind): string {
    const path = this.at(`world/aside/${name.replaceAll('/', '-')}-${kind}`);
    const outside = join(this.outside.path, name.replace(/^tree\/?/, ''));
    if (kind === 'link') symlinkSync(outside, path);
    else if (kind === 'fifo' || kind === 'device') linkSync(this.at(`kept/${kind}`), path);
    else if (kind === 'directory') mkdirSync(path);
    else if (kind === 'hard') linkSync(outside, path);
    if (kind === 'link' || kind === 'directory') lchownSync(path, STRANGER, STRANGER);
    return path;
  }

  private async tell(line: string): Promise<void> {
    this.child.stdin!.write(`${line}\n`);
    this.swaps += Number((await this.answers.next()).value);
  }
}

function giveAway(directory: string): void {
  chownSync(directory, STRANGER, STRANGER);
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }))
    chownSync(join(directory, name), STRANGER, STRANGER);
}

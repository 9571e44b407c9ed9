/**
 * cp: copies files, symlinks and whole trees, by the rules and with the errors of Node (lib/internal/fs/cp/cp-sync.js);
 * the contents of files are reflinked. The walk is a generator that yields what the caller's filter returned. So one
 * walk serves both the synchronous form and the form whose filter may return a promise.
 */
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path/posix';
import { isPromise } from 'node:util/types';
import { nameToString } from '../base/index.ts';
import { checkBoolean, checkFunction, checkObject, smallMode } from './arguments.ts';
import type { AttributeCalls } from './attributes.ts';
import type { ContentCalls } from './contents.ts';
import type { DirectoryCalls } from './directories.ts';
import { describeValue, isCode, systemError, withCode } from './errors.ts';
import type { LinkCalls } from './links.ts';
import { bytePath } from './paths.ts';
import type { BigIntStats, Stats } from './stats.ts';

interface CopyOptions {
  readonly dereference: boolean;
  readonly errorOnExist: boolean;
  readonly force: boolean;
  readonly preserveTimestamps: boolean;
  readonly recursive: boolean;
  readonly verbatimSymlinks: boolean;
  readonly mode: number;
  readonly filter: ((source: string, destination: string) => unknown) | undefined;
}

const SWITCHES = [
  'dereference',
  'errorOnExist',
  'force',
  'preserveTimestamps',
  'recursive',
  'verbatimSymlinks',
] as const;

function copyOptions(options: unknown): CopyOptions {
  const given: Record<string, unknown> = { force: true };
  if (options !== undefined) {
    checkObject(options, 'options');
    Object.assign(given, options);
  }
  for (const name of SWITCHES) {
    given[name] ??= false;
    checkBoolean(given[name], `options.${name}`);
  }
  if (given.dereference && given.verbatimSymlinks) {
    const message = 'Option "dereference" cannot be used in combination with option "verbatimSymlinks"';
    throw withCode(new TypeError(message), 'ERR_INCOMPATIBLE_OPTION_PAIR');
  }
  if (given.filter !== undefined) checkFunction(given.filter, 'options.filter');
  given.mode = smallMode(given.mode);
  // The cast: every member has been checked or set above.
  return given as unknown as CopyOptions;
}

type Attributes = Stats | BigIntStats;

/** One file to copy: both paths, and the attributes of the files there. */
interface CopyPair {
  readonly from: string;
  readonly source: Attributes;
  readonly to: string;
  readonly target: Attributes | undefined;
}

type CopyCode = 'EEXIST' | 'EINVAL' | 'EISDIR' | 'ENOTDIR';

function refusal(code: string, summary: string, errno: CopyCode, message: string, path: string): Error {
  return systemError(code, summary, { message, path, syscall: 'cp', code: errno });
}

function invalid(message: string, path: string): Error {
  return refusal('ERR_FS_CP_EINVAL', 'Invalid src or dest', 'EINVAL', message, path);
}

function isSame(a: Attributes, b: Attributes): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** True if `destination` is `source` or lies below it, by their paths alone. */
function isBelow(source: string, destination: string): boolean {
  const upper = resolve('/', source).split(sep).filter(Boolean);
  const lower = resolve('/', destination).split(sep).filter(Boolean);
  return upper.every((name, index) => lower[index] === name);
}

type Walk = Generator<unknown, void, unknown>;

export class TreeCopyCalls {
  private readonly attributes: AttributeCalls;
  private readonly directories: DirectoryCalls;
  private readonly links: LinkCalls;
  private readonly contents: ContentCalls;

  constructor(
    attributes: AttributeCalls,
    contents: ContentCalls,
    directories: DirectoryCalls,
    links: LinkCalls,
  ) {
    this.attributes = attributes;
    this.directories = directories;
    this.links = links;
    this.contents = contents;
  }

  cpSync(source: unknown, destination: unknown, options?: unknown): void {
    const walk = this.start(source, destination, options);
    let step = walk.next();
    while (!step.done) {
      if (isPromise(step.value)) {
        const found = describeValue(step.value);
        const message = `Expected boolean to be returned from the "filter" function but got ${found}.`;
        throw withCode(new TypeError(message), 'ERR_INVALID_RETURN_VALUE');
      }
      step = walk.next(step.value);
    }
  }

  /** Like cpSync, with a filter that may be asynchronous. */
  async cp(source: unknown, destination: unknown, options?: unknown): Promise<void> {
    const walk = this.start(source, destination, options);
    let step = walk.next();
    while (!step.done) step = walk.next(await step.value);
  }

  private start(source: unknown, destination: unknown, options: unknown): Walk {
    const checked = copyOptions(options);
    const from = nameToString(bytePath(source, 'src'));
    const to = nameToString(bytePath(destination, 'dest'));
    return this.copyTop(from, to, checked);
  }

  private *copyTop(from: string, to: string, options: CopyOptions): Walk {
    if (options.filter !== undefined && !(yield options.filter(from, to))) return;
    const pair = this.checkPair(from, to, options);
    this.checkParents(pair);
    const parent = dirname(to);
    if (!this.attributes.existsSync(parent)) this.directories.mkdirSync(parent, { recursive: true });
    yield* this.copyOne(pair, options);
  }

  /** Looks up both paths, and refuses a source that cannot be copied onto the target. */
  private checkPair(from: string, to: string, options: CopyOptions): CopyPair {
    // The cast: `look` throws where a source is missing.
    const source = this.look(from, options, true) as Attributes;
    const target = this.look(to, options, false);
    if (target !== undefined) {
      if (isSame(source, target)) throw invalid('src and dest cannot be the same', to);
      if (source.isDirectory() && !target.isDirectory()) {
        const message = `cannot overwrite non-directory ${to} with directory ${from}`;
        const summary = 'Cannot overwrite non-directory with directory';
        throw refusal('ERR_FS_CP_DIR_TO_NON_DIR', summary, 'EISDIR', message, to);
      }
      if (!source.isDirectory() && target.isDirectory()) {
        const message = `cannot overwrite directory ${to} with non-directory ${from}`;
        const summary = 'Cannot overwrite directory with non-directory';
        throw refusal('ERR_FS_CP_NON_DIR_TO_DIR', summary, 'ENOTDIR', message, to);
      }
    }
    if (source.isDirectory() && isBelow(from, to)) {
      throw invalid(`cannot copy ${from} to a subdirectory of self ${to}`, to);
    }
    return { from, source, to, target };
  }

  private look(path: string, options: CopyOptions, throwIfNoEntry: boolean): Attributes | undefined {
    return options.dereference
      ? this.attributes.statSync(path, { throwIfNoEntry })
      : this.attributes.lstatSync(path, { throwIfNoEntry });
  }

  /** Refuses a destination below the source, even if only symlinks on its path lead there. */
  private checkParents({ from, source, to }: CopyPair): void {
    const sourceParent = resolve('/', dirname(from));
    let parent = resolve('/', dirname(to));
    while (parent !== sourceParent && parent !== parse(parent).root) {
      const attributes = this.attributes.statSync(parent, { throwIfNoEntry: false });
      if (attributes === undefined) return;
      if (isSame(source, attributes)) {
        throw invalid(`cannot copy ${from} to a subdirectory of self ${to}`, to);
      }
      parent = dirname(parent);
    }
  }

  private *copyOne(pair: CopyPair, options: CopyOptions): Walk {
    const { from, source, to } = pair;
    if (source.isDirectory()) {
      if (!options.recursive) {
        const message = `${from} is a directory (not copied)`;
        throw refusal('ERR_FS_EISDIR', 'Path is a directory', 'EISDIR', message, from);
      }
      yield* this.copyDirectory(pair, options);
    } else if (source.isFile() || source.isCharacterDevice() || source.isBlockDevice()) {
      this.copyFile(pair, options);
    } else if (source.isSymbolicLink()) {
      this.copyLink(pair, options);
    } else if (source.isSocket()) {
      const message = `cannot copy a socket file: ${to}`;
      throw refusal('ERR_FS_CP_SOCKET', 'Cannot copy a socket file', 'EINVAL', message, to);
    } else {
      const message = `cannot copy a FIFO pipe: ${to}`;
      throw refusal('ERR_FS_CP_FIFO_PIPE', 'Cannot copy a FIFO pipe', 'EINVAL', message, to);
    }
  }

  private *copyDirectory({ from, source, to, target }: CopyPair, options: CopyOptions): Walk {
    if (target === undefined) this.directories.mkdirSync(to);
    for (const entry of this.directories.readdirSync(from)) {
      const name = String(entry);
      const child = join(from, name);
      const copy = join(to, name);
      if (options.filter !== undefined && !(yield options.filter(child, copy))) continue;
      yield* this.copyOne(this.checkPair(child, copy, options), options);
    }
    if (target === undefined) this.attributes.chmodSync(to, Number(source.mode));
  }

  private copyFile({ from, source, to, target }: CopyPair, options: CopyOptions): void {
    if (target !== undefined) {
      if (!options.force) {
        if (!options.errorOnExist) return;
        throw refusal('ERR_FS_CP_EEXIST', 'Target already exists', 'EEXIST', `${to} already exists`, to);
      }
      this.links.unlinkSync(to);
    }
    this.contents.copyFileSync(from, to, options.mode);
    if (options.preserveTimestamps) {
      this.attributes.utimesSync(to, source.atime, source.mtime);
    }
    this.attributes.chmodSync(to, Number(source.mode));
  }

  private copyLink({ from, to, target }: CopyPair, options: CopyOptions): void {
    let content = String(this.links.readlinkSync(from));
    if (!options.verbatimSymlinks && !isAbsolute(content)) content = resolve('/', dirname(from), content);
    if (target === undefined) {
      this.links.symlinkSync(content, to);
      return;
    }
    let old: string;
    try {
      old = String(this.links.readlinkSync(to));
    } catch (error) {
      if (!isCode(error, 'EINVAL')) throw error;
      // Something else than a symlink is there, so this fails with EEXIST.
      this.links.symlinkSync(content, to);
      return;
    }
    if (!isAbsolute(old)) old = resolve('/', dirname(to), old);
    const isDirectory = this.attributes.statSync(to, { throwIfNoEntry: false })?.isDirectory() ?? false;
    if (isBelow(content, old)) throw invalid(`cannot copy ${content} to a subdirectory of self ${old}`, to);
    // Node refuses a new target below the old one, because removing the link might remove the new target's contents.
    if (isDirectory && isBelow(old, content)) {
      const summary = 'Cannot overwrite symlink in subdirectory of self';
      const message = `cannot overwrite ${old} with ${content}`;
      throw refusal('ERR_FS_CP_SYMLINK_TO_SUBDIRECTORY', summary, 'EINVAL', message, to);
    }
    this.links.unlinkSync(to);
    this.links.symlinkSync(content, to);
  }
}

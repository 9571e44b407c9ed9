/**
 * Differences of two trees as text: a patch for `git apply` and `patch -p1`, and counts of lines like those of `git
 * diff --stat`. The format is Git's (git-diff(1), "Generating patch text with -p"): quoted names where needed, files
 * that are new, deleted, renamed or executable, and symlinks. A patch has only the names of binary files.
 */
import { isFileMode, isSymlinkMode, nameToString } from '../base/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { contentOf, type FileChange, type FileSide, isSameContent } from './file-changes.ts';
import { canBeText, type Hunk, hunksBetween, isText } from './line-diff.ts';

export interface FileDifference {
  readonly path: string;
  /** The old path of a renamed file. */
  readonly from: string | undefined;
  readonly kind: 'added' | 'removed' | 'modified' | 'renamed';
  readonly isBinary: boolean;
  /** Number of lines that were added; 0 for a binary file. */
  readonly insertions: number;
  /** Number of lines that were removed; 0 for a binary file. */
  readonly deletions: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** The file's part of the patch, a byte string. */
  readonly patch: string;
}

/** Describes the difference of one file. */
export function fileDifference(change: FileChange, before: TreeFiles, after: TreeFiles): FileDifference {
  const { before: old, after: now } = change;
  const isSame = old !== undefined && now !== undefined && isSameContent(before, old, after, now);
  const bytesOld = isSame ? undefined : textOf(before, old);
  const bytesNow = isSame ? undefined : textOf(after, now);
  const isBinary = !isSame && (bytesOld === undefined || bytesNow === undefined);
  const hunks = bytesOld === undefined || bytesNow === undefined ? [] : hunksBetween(bytesOld, bytesNow);
  const lines = hunks.flatMap((hunk) => hunk.lines);
  const isRenamed = old !== undefined && now !== undefined && old.path !== now.path;
  return {
    path: (now ?? old)?.path ?? '',
    from: isRenamed ? old.path : undefined,
    kind: old === undefined ? 'added' : now === undefined ? 'removed' : isRenamed ? 'renamed' : 'modified',
    isBinary,
    insertions: lines.filter((line) => line.startsWith('+')).length,
    deletions: lines.filter((line) => line.startsWith('-')).length,
    bytesBefore: old?.attributes.size ?? 0,
    bytesAfter: now?.attributes.size ?? 0,
    patch: patchOf(old, now, hunks, isBinary),
  };
}

/** The bytes of a text file, or a symlink's target; empty if there is no file, undefined for anything else. */
function textOf(files: TreeFiles, side: FileSide | undefined): Buffer | undefined {
  if (side === undefined) return Buffer.alloc(0);
  if (modeOf(side) === undefined || !canBeText(side.attributes.size)) return undefined;
  const bytes = contentOf(files, side);
  return isText(bytes) ? bytes : undefined;
}

/** A file's mode in Git's form; undefined for devices, fifos and sockets, which Git does not know. */
function modeOf({ attributes: { mode } }: FileSide): string | undefined {
  if (isSymlinkMode(mode)) return '120000';
  if (!isFileMode(mode)) return undefined;
  return (mode & 0o100) === 0 ? '100644' : '100755';
}

function patchOf(
  old: FileSide | undefined,
  now: FileSide | undefined,
  hunks: readonly Hunk[],
  isBinary: boolean,
): string {
  const [left, right] = [quoted('a', (old ?? now)?.path ?? ''), quoted('b', (now ?? old)?.path ?? '')];
  // Git shows a change of type as the old file deleted and a new one added.
  if (old !== undefined && now !== undefined && modeOf(old)?.slice(0, 2) !== modeOf(now)?.slice(0, 2)) {
    if (isBinary) return `Binary files ${left} and ${right} differ\n`;
    const [gone, come] = splitHunks(hunks);
    return patchOf(old, undefined, gone, false) + patchOf(undefined, now, come, false);
  }
  const header = headerOf(old, now);
  if (isBinary) {
    const sides = [old === undefined ? '/dev/null' : left, now === undefined ? '/dev/null' : right];
    return `Binary files ${sides[0]} and ${sides[1]} differ\n`;
  }
  if (hunks.length === 0 && header.length === 0) return '';
  const lines = [`diff --git ${left} ${right}`, ...header];
  if (hunks.length > 0) {
    lines.push(`--- ${old === undefined ? '/dev/null' : withTab(left)}`);
    lines.push(`+++ ${now === undefined ? '/dev/null' : withTab(right)}`);
  }
  for (const { oldStart, oldLines, newStart, newLines, lines: body } of hunks) {
    lines.push(`@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`, ...body);
  }
  return `${lines.join('\n')}\n`;
}

function headerOf(old: FileSide | undefined, now: FileSide | undefined): string[] {
  const [modeOld, modeNow] = [old && modeOf(old), now && modeOf(now)];
  if (modeOld === undefined) return [`new file mode ${modeNow}`];
  if (modeNow === undefined) return [`deleted file mode ${modeOld}`];
  const lines = modeOld === modeNow ? [] : [`old mode ${modeOld}`, `new mode ${modeNow}`];
  if (old !== undefined && now !== undefined && old.path !== now.path) {
    lines.push(`rename from ${quoted('', old.path)}`, `rename to ${quoted('', now.path)}`);
  }
  return lines;
}

/** Splits hunks into those of two patches: one removes the old lines, the other adds the new ones. */
function splitHunks(hunks: readonly Hunk[]): [Hunk[], Hunk[]] {
  const lines = hunks.flatMap((hunk) => hunk.lines);
  const of = (sign: string): string[] =>
    lines.filter(
      (line, at) => line.startsWith(sign) || (line.startsWith('\\') && lines[at - 1]?.startsWith(sign)),
    );
  const count = (list: string[]): number => list.filter((line) => !line.startsWith('\\')).length;
  const [gone, come] = [of('-'), of('+')];
  const none = { oldStart: 0, oldLines: 0, newStart: 0, newLines: 0 };
  return [
    gone.length === 0 ? [] : [{ ...none, oldStart: 1, oldLines: count(gone), lines: gone }],
    come.length === 0 ? [] : [{ ...none, newStart: 1, newLines: count(come), lines: come }],
  ];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: names may hold them, and then need quotes.
const UNUSUAL = /[\x00-\x1f"\\\x7f-\xff]/g;
const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '"': '\\"', '\\': '\\\\' };

/** A name in Git's form: an unusual name is in quotes, with bytes beyond ASCII in octal. */
function quoted(side: 'a' | 'b' | '', path: string): string {
  const name = side === '' ? path.slice(1) : side + path;
  const escaped = name.replace(
    UNUSUAL,
    (byte) => ESCAPES[byte] ?? `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return escaped === name ? name : `"${escaped}"`;
}

/** Adds a tab to a name with a space in it; otherwise patch(1) would take part of the name for a date. */
function withTab(name: string): string {
  return name.includes(' ') && !name.startsWith('"') ? `${name}\t` : name;
}

const GRAPH_WIDTH = 40;

/** Lines like those of `git diff --stat`, as text. */
export function statLines(files: readonly FileDifference[]): string[] {
  const names = files.map(({ path, from }) => {
    const name = nameToString(path).slice(1);
    return from === undefined ? name : `${nameToString(from).slice(1)} => ${name}`;
  });
  const width = Math.max(0, ...names.map((name) => name.length));
  const most = Math.max(0, ...files.map(({ insertions, deletions }) => insertions + deletions));
  const scale = most > GRAPH_WIDTH ? GRAPH_WIDTH / most : 1;
  const digits = String(most).length;
  const lines = files.map((file, at) => {
    const { insertions, deletions, isBinary, bytesBefore, bytesAfter } = file;
    const graph = '+'.repeat(Math.ceil(insertions * scale)) + '-'.repeat(Math.ceil(deletions * scale));
    const count = String(insertions + deletions).padStart(digits);
    const told = isBinary ? `Bin ${bytesBefore} -> ${bytesAfter} bytes` : `${count} ${graph}`.trimEnd();
    return ` ${(names[at] ?? '').padEnd(width)} | ${told}`;
  });
  const sum = (of: 'insertions' | 'deletions'): number => files.reduce((total, file) => total + file[of], 0);
  const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  lines.push(
    ` ${plural(files.length, 'file')} changed, ${plural(sum('insertions'), 'insertion')}(+), ` +
      `${plural(sum('deletions'), 'deletion')}(-)`,
  );
  return lines;
}

/** Diffs and three-way merges of lines, by the libraries `diff` and `node-diff3`, byte for byte. */
import { structuredPatch } from 'diff';
import { diff3Merge } from 'node-diff3';

/** A larger file is diffed and merged as binary. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;
/** A file is text if this many bytes at its start include no zero byte, as in Git. */
const LOOKED_AT_BYTES = 8_000;
const CONTEXT_LINES = 3;
/** With more differing lines than this, all lines are replaced: finding the shortest edit script would take minutes. */
const EDITS_MAX = 10_000;

export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** Each begins with ' ', '-', '+' or '\', and is a byte string. */
  readonly lines: readonly string[];
}

/** Whether a file is small enough to be read as text. */
export function canBeText(sizeBytes: number): boolean {
  return sizeBytes <= TEXT_BYTES_MAX;
}

export function isText(bytes: Buffer): boolean {
  return canBeText(bytes.length) && !bytes.subarray(0, LOOKED_AT_BYTES).includes(0);
}

/** The hunks that turn one text into another. Every byte is one character, so none is lost. */
export function hunksBetween(before: Buffer, after: Buffer): readonly Hunk[] {
  const [old, now] = [before.toString('latin1'), after.toString('latin1')];
  const options = { context: CONTEXT_LINES, maxEditLength: EDITS_MAX };
  const patch = structuredPatch('', '', old, now, '', '', options);
  return patch?.hunks ?? [wholeHunk(old, now)];
}

/** Removes all lines of one text and adds all of the other. */
function wholeHunk(old: string, now: string): Hunk {
  const [gone, come] = [linesOf(old), linesOf(now)];
  const lines = [...signed('-', gone), ...signed('+', come)];
  const [oldLines, newLines] = [gone.length, come.length];
  return { oldStart: Math.min(1, oldLines), oldLines, newStart: Math.min(1, newLines), newLines, lines };
}

function signed(sign: string, lines: readonly string[]): string[] {
  return lines.flatMap((line) =>
    line.endsWith('\n') ? [sign + line.slice(0, -1)] : [sign + line, '\\ No newline at end of file'],
  );
}

/** Lines with their line ends; the last may have none. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+/g) ?? [];
}

/** Names in the markers of conflicts. */
export interface MergeLabels {
  readonly ours: string;
  readonly base: string;
  readonly theirs: string;
}

export interface MergedText {
  readonly bytes: Buffer;
  /** How many runs of lines both sides changed differently; each has markers around it. */
  readonly conflicts: number;
}

/** Merges the changes of two texts since their base, with the markers of diff3(1) around conflicts. */
export function mergeTexts(base: Buffer, ours: Buffer, theirs: Buffer, labels: MergeLabels): MergedText {
  const lines = (bytes: Buffer): string[] => linesOf(bytes.toString('latin1'));
  const merged: string[] = [];
  let conflicts = 0;
  for (const region of diff3Merge(lines(ours), lines(base), lines(theirs), { excludeFalseConflicts: true })) {
    if (region.ok !== undefined) merged.push(...region.ok);
    if (region.conflict === undefined) continue;
    const { a, o, b } = region.conflict;
    conflicts++;
    merged.push(`<<<<<<< ${labels.ours}\n`, ...ended(a), `||||||| ${labels.base}\n`, ...ended(o));
    merged.push('=======\n', ...ended(b), `>>>>>>> ${labels.theirs}\n`);
  }
  return { bytes: Buffer.from(merged.join(''), 'latin1'), conflicts };
}

/** Ends the last line, so that a marker starts on a new one. */
function ended(lines: readonly string[]): string[] {
  return lines.map((line) => (line.endsWith('\n') ? line : `${line}\n`));
}

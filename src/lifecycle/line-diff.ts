/** Diffs and three-way merges of lines, by the libraries `diff` and `node-diff3`, byte for byte. */
import { structuredPatch } from 'diff';
import { diff3Merge } from 'node-diff3';

/** Size of the largest file that is diffed and merged as text. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;
/** How many bytes at the start of a file are searched for a zero byte. Without one the file is text, as in Git. */
const LOOKED_AT_BYTES = 8_000;
const CONTEXT_LINES = 3;
/**
 * Largest number of differing lines for which a diff is computed. Beyond that a diff replaces all lines, because
 * finding the shortest edit script would take minutes.
 */
const EDITS_MAX = 10_000;

export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** Lines of the patch, each a byte string that begins with ' ', '-', '+' or '\'. */
  readonly lines: readonly string[];
}

/** True if a file is small enough to be read as text. */
export function canBeText(sizeBytes: number): boolean {
  return sizeBytes <= TEXT_BYTES_MAX;
}

export function isText(bytes: Buffer): boolean {
  return canBeText(bytes.length) && !bytes.subarray(0, LOOKED_AT_BYTES).includes(0);
}

/** The hunks that turn one text into another. Each byte is decoded as one character, so that no byte is lost. */
export function hunksBetween(before: Buffer, after: Buffer): readonly Hunk[] {
  const [old, now] = [before.toString('latin1'), after.toString('latin1')];
  const options = { context: CONTEXT_LINES, maxEditLength: EDITS_MAX };
  const patch = structuredPatch('', '', old, now, '', '', options);
  return patch?.hunks ?? [wholeHunk(old, now)];
}

/** A hunk that removes all lines of one text and adds all lines of the other. */
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

/** The lines of a text with their line ends; the last line may have none. */
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
  /** Number of runs of lines that both sides changed in different ways. Each has markers around it. */
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

/** Adds a line end to the last line if it has none, so that the next marker starts on a new line. */
function ended(lines: readonly string[]): string[] {
  return lines.map((line) => (line.endsWith('\n') ? line : `${line}\n`));
}

/** Lines that differ between two contents, and three-way merges of lines: by libraries, on bytes. */
import { structuredPatch } from 'diff';
import { diff3Merge } from 'node-diff3';

/** A larger file is told and merged as if it had no lines. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;
/** So many bytes without a zero make a text, as in Git. */
const LOOKED_AT_BYTES = 8_000;
const CONTEXT_LINES = 3;
/** Beyond so many differing lines the shortest script is not looked for: it would take minutes. */
const EDITS_MAX = 10_000;

export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** Each begins with ' ', '-', '+' or '\', and is a byte string. */
  readonly lines: readonly string[];
}

/** False for what is not even looked at. */
export function canBeText(sizeBytes: number): boolean {
  return sizeBytes <= TEXT_BYTES_MAX;
}

export function isText(bytes: Buffer): boolean {
  return canBeText(bytes.length) && !bytes.subarray(0, LOOKED_AT_BYTES).includes(0);
}

/** What turns one text into another. Every byte is a character, so none is lost. */
export function hunksBetween(before: Buffer, after: Buffer): readonly Hunk[] {
  const [old, now] = [before.toString('latin1'), after.toString('latin1')];
  const options = { context: CONTEXT_LINES, maxEditLength: EDITS_MAX };
  const patch = structuredPatch('', '', old, now, '', '', options);
  return patch?.hunks ?? [wholeHunk(old, now)];
}

/** All lines of one text go, and all of the other come. */
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

/** Lines with their ends; the last may have none. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+/g) ?? [];
}

export interface MergedText {
  readonly bytes: Buffer;
  /** Stretches of lines that both changed, differently: they are marked. */
  readonly conflicts: number;
}

/** Merges two texts that were one, with the markers of diff3(1) around what both changed. */
export function mergeTexts(
  base: Buffer,
  ours: Buffer,
  theirs: Buffer,
  labels: { readonly ours: string; readonly base: string; readonly theirs: string },
): MergedText {
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

/** A marker stands on a line of its own. */
function ended(lines: readonly string[]): string[] {
  return lines.map((line) => (line.endsWith('\n') ? line : `${line}\n`));
}

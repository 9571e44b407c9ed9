/** fsck passes over space: `extents`, `references`, `tails`, `blobs`, `sums`. */
import {
  BLOCK_SIZE,
  type BlobId,
  blocksFor,
  type Ino,
  isFileMode,
  isFsError,
  type Run,
} from '../base/index.ts';
import { holderOf } from '../lower/index.ts';
import type { BlobRecord } from '../meta/index.ts';
import type { StoreEngine } from '../store/index.ts';
import type { Checked, Findings } from './fsck-findings.ts';
import { ANY_BLOCK, type DamagedBlock, NO_FILE, nameFiles } from './fsck-paths.ts';
import { isLiveLayer, layerView } from './layer-view.ts';
import { Marking } from './marking.ts';

/**
 * Runs are sorted and disjoint, and none continues another. They lie within their file, in the layer that the inode's
 * record names. The record counts their blocks.
 */
export function checkExtents({ engine, layers, settled }: Checked, findings: Findings): void {
  const { tables } = engine;
  for (const layer of settled.keys()) {
    const blocks = new Map<Ino, number>();
    for (const { ino, runs } of tables.extents.forLayer(layer)) {
      findings.checked++;
      const record = tables.inodes.get(layer, ino);
      const where = `inode ${ino} of layer ${layer}`;
      blocks.set(ino, checkRuns(runs, where, findings));
      if (record?.extentLayer !== layer) findings.add(`${where} has extents that its record does not name`);
      else if (endOf(runs) > blocksFor(record.size)) findings.add(`${where} has extents beyond its end`);
    }
    const view = layerView(tables, layers, layer);
    for (const [ino, { mode, extentLayer, blocks: counted }] of tables.inodes.entries(layer)) {
      if (mode === 0 || extentLayer === 0 || isLiveLayer(layers, extentLayer)) continue;
      const where = `inode ${ino} of layer ${layer}`;
      if (extentLayer === layer) {
        const count = blocks.get(ino) ?? 0;
        if (counted !== count) findings.add(`${where} counts ${counted} blocks, its extents have ${count}`);
        continue;
      }
      const holder = holderOf(view.lowers, ino, 'extentLayer', extentLayer);
      if (holder === 0 || view.find(holder)?.inode(ino)?.extentLayer !== holder) {
        findings.add(`the extents of ${where} are not in layer ${extentLayer}, which it names`);
      }
    }
  }
}

/** Returns the number of blocks in the runs. */
function checkRuns(runs: readonly Run[], where: string, findings: Findings): number {
  let blocks = 0;
  let last: Run | undefined;
  for (const run of runs) {
    blocks += run.count;
    if (last !== undefined) {
      const end = last.logical + last.count;
      if (run.logical < end) findings.add(`${where} has two extents for block ${run.logical}`);
      const isJoined =
        run.logical === end && run.blob === last.blob && run.physical === last.physical + last.count;
      if (isJoined) findings.add(`${where} has two extents that are one, at block ${run.logical}`);
    }
    last = run;
  }
  return blocks;
}

function endOf(runs: readonly Run[]): number {
  const last = runs[runs.length - 1];
  return last === undefined ? 0 : last.logical + last.count;
}

/** Every extent lies inside an existing blob. While a layer still writes to a blob, no other layer uses the blob. */
export function checkReferences(checked: Checked, findings: Findings): void {
  const { engine, settled } = checked;
  const elsewhere = new Set<BlobId>();
  const ends = new Map<BlobId, number>();
  for (const layer of settled.keys()) {
    for (const { ino, runs } of engine.tables.extents.forLayer(layer)) {
      for (const { blob, physical, count } of runs) {
        findings.checked++;
        if (!engine.blobs.isStored(blob)) {
          elsewhere.add(blob);
          continue;
        }
        const record = engine.tables.blobs.get(blob);
        const where = `inode ${ino} of layer ${layer}`;
        if (record === undefined) {
          findings.add(`${where} has blocks in blob ${blob}, which is not recorded`);
          continue;
        }
        if (record.state === 'building')
          findings.add(`${where} has blocks in blob ${blob}, which was never finished`);
        if (record.state === 'active' && record.layer !== layer) {
          findings.add(`${where} has blocks in blob ${blob}, which layer ${record.layer} still overwrites`);
        }
        if (!ends.has(blob)) ends.set(blob, endOfBlob(engine, blob, record));
        const end = ends.get(blob);
        if (end !== undefined && physical + count > end) {
          findings.add(`${where} has block ${physical + count - 1} of blob ${blob}, which ends at ${end}`);
        }
      }
    }
  }
  checkElsewhere(checked, elsewhere, findings);
}

/** Blobs that the store does not hold are host files: recorded, and unchanged since they were copied up. */
function checkElsewhere(checked: Checked, elsewhere: ReadonlySet<BlobId>, findings: Findings): void {
  const { tables, blobs } = checked.engine;
  const bad: DamagedBlock[] = [];
  for (const blob of elsewhere) {
    if (tables.elsewhere.every((table) => table.get(blob) === undefined))
      findings.add(`blob ${blob}, a host file, is not recorded`);
    const problem = blobs.problem(blob);
    if (problem !== undefined) bad.push({ blob, block: ANY_BLOCK, problem });
  }
  const files = nameFiles(checked, bad);
  for (const [index, { problem }] of bad.entries()) {
    // Blocks that no file of a tree uses any more are no loss.
    if (files[index] !== NO_FILE) findings.add(`${problem}; in ${files[index]}`);
  }
}

/** The recorded length in blocks; for an active blob the length of its file. */
function endOfBlob({ blobs }: StoreEngine, blob: BlobId, record: BlobRecord): number {
  if (record.state !== 'active') return record.lengthBlocks;
  return blobs.exists(blob) ? blobs.lengthBlocks(blob) : 0;
}

/** Bytes of a file's last block that lie beyond the end of the file are zero. */
export function checkTails({ engine, settled }: Checked, findings: Findings): void {
  const { tables, blobs, system } = engine;
  const bytes = Buffer.alloc(BLOCK_SIZE);
  for (const layer of settled.keys()) {
    for (const [ino, record] of tables.inodes.entries(layer)) {
      const within = record.size % BLOCK_SIZE;
      if (record.extentLayer !== layer || within === 0 || !isFileMode(record.mode)) continue;
      const block = Math.floor(record.size / BLOCK_SIZE);
      const run = tables.extents
        .load(layer, ino)
        ?.find(({ logical, count }) => logical <= block && block < logical + count);
      // Every reader of a host file gets zeros beyond its end.
      if (run === undefined || !blobs.isStored(run.blob)) continue;
      findings.checked++;
      const position = (run.physical + block - run.logical) * BLOCK_SIZE;
      let got: number;
      try {
        got = system.pread(blobs.descriptor(run.blob), bytes, 0, BLOCK_SIZE, position);
      } catch (error) {
        // Passes `blobs` and `sums` report blocks that cannot be read.
        if (isFsError(error, 'EIO')) continue;
        throw error;
      }
      if (bytes.subarray(within, Math.max(within, got)).some((byte) => byte !== 0)) {
        findings.add(`inode ${ino} of layer ${layer} has bytes beyond its end, at ${record.size}`);
      }
    }
  }
}

/** Every recorded blob has a file of the recorded length, and every file has a record. */
export function checkBlobs({ engine }: Checked, findings: Findings): void {
  const { tables, blobs } = engine;
  const files = new Set(blobs.list());
  for (const [blob, record] of tables.blobs.entries()) {
    findings.checked++;
    const hasFile = files.delete(blob);
    // An active, building or dropped blob may have a record but no file: the file is created after the record, and gc
    // removes the file before the record.
    if (record.state === 'active' || record.state === 'building') continue;
    if (tables.dropped.get(blob)?.ranges.length === 0) continue;
    if (!hasFile) findings.add(`the file of blob ${blob} is missing`);
    else if (blobs.lengthBytes(blob) !== record.lengthBytes) {
      findings.add(
        `the file of blob ${blob} has ${blobs.lengthBytes(blob)} bytes, not ${record.lengthBytes}`,
      );
    }
    if (record.lengthBlocks !== blocksFor(record.lengthBytes)) {
      findings.add(
        `blob ${blob} is recorded with ${record.lengthBlocks} blocks and ${record.lengthBytes} bytes`,
      );
    }
  }
  for (const blob of files) findings.add(`the file of blob ${blob} belongs to nothing; gc removes it`);
}

/** Every block of a sealed blob that a file refers to matches its checksum. Other blocks may be punched. */
export function checkSums(checked: Checked, findings: Findings): void {
  const { tables, blobs, directory } = checked.engine;
  const bad: DamagedBlock[] = [];
  for (const [blob, live] of new Marking(tables, directory).mark().blocks) {
    if (tables.blobs.get(blob)?.state !== 'sealed') continue;
    // Another process may have sealed the blob after this process opened it.
    blobs.setSealed(blob);
    try {
      for (const { start, end } of live) {
        findings.checked += end - start;
        const isSealed = blobs.verify(blob, start, end - start, (block, problem) => {
          bad.push({ blob, block, problem });
        });
        if (!isSealed) {
          findings.add(`blob ${blob} has lost its checksums`);
          break;
        }
      }
    } catch (error) {
      if (!isFsError(error, 'EIO')) throw error;
      findings.add(`blob ${blob} cannot be verified: ${error.message}`);
    }
  }
  const files = nameFiles(checked, bad);
  for (const [index, { blob, block, problem }] of bad.entries())
    findings.add(`block ${block} of blob ${blob}: ${problem}; in ${files[index]}`);
}

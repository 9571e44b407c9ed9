/** fsck passes over trees and layers: `trees`, `layers`, `orphans`, `counters`. */
import { isDirectoryMode, type LayerId } from '../base/index.ts';
import { isDerived } from '../lower/index.ts';
import { type LayerRecord, layersUnder } from '../meta/index.ts';
import type { Checked, Findings } from './fsck-findings.ts';
import { layerView, standsOnLive } from './layer-view.ts';

/**
 * Every tree stands on an existing layer, a fork on a writable one and a snapshot on a frozen one, and that layer sees
 * the tree's root. No two trees have the same id, and no two forks the same upper layer.
 */
export function checkTrees({ engine, layers }: Checked, findings: Findings): void {
  const { tables } = engine;
  const ids = new Map<number, string>();
  const uppers = new Map<LayerId, string>();
  for (const [name, tree] of tables.trees.entries()) {
    findings.checked++;
    const twin = ids.get(tree.id);
    if (twin !== undefined) findings.add(`trees '${twin}' and '${name}' have the same id, ${tree.id}`);
    ids.set(tree.id, name);
    const record = tables.layers.unchecked(tree.layer);
    if (record === undefined) {
      findings.add(`tree '${name}' stands on layer ${tree.layer}, which is missing`);
      continue;
    }
    const state = tree.kind === 'fork' ? 'writable' : 'frozen';
    if (record.state !== state) {
      findings.add(
        `${tree.kind} '${name}' has layer ${tree.layer}, which is ${record.state} and not ${state}`,
      );
    }
    if (tree.kind === 'fork') {
      const other = uppers.get(tree.layer);
      if (other !== undefined)
        findings.add(`forks '${other}' and '${name}' have the same upper layer, ${tree.layer}`);
      uppers.set(tree.layer, name);
    }
    const root = layerView(tables, layers, tree.layer).record(tree.root);
    // The root of a live layer may have no record yet.
    if (root === undefined && standsOnLive(layers, tree.layer)) continue;
    if (root === undefined || !isDirectoryMode(root.mode)) {
      findings.add(`the root of tree '${name}', inode ${tree.root}, is no directory`);
    }
  }
}

/** Every layer stands on existing frozen layers of less depth. A writable layer has an active blob of its own. */
export function checkLayers({ engine, layers }: Checked, findings: Findings): void {
  const { tables } = engine;
  for (const [layer, record] of layers) {
    findings.checked++;
    if (record.state === 'building') findings.add(`layer ${layer} belongs to a tree but was never finished`);
    if (record.droppedEpoch !== undefined) findings.add(`layer ${layer} is dropped but a tree stands on it`);
    checkParent(layer, record, layers, findings);
    if (record.inoNext > record.inoEnd) {
      findings.add(
        `layer ${layer} has given out inode numbers beyond the end of its range, ${record.inoEnd}`,
      );
    }
    if (record.state !== 'writable') continue;
    const blob = record.activeBlob === 0 ? undefined : tables.blobs.get(record.activeBlob);
    if (blob === undefined || blob.state !== 'active' || blob.layer !== layer) {
      findings.add(
        `writable layer ${layer} has no active blob of its own: it names blob ${record.activeBlob}`,
      );
    }
  }
}

function checkParent(
  layer: LayerId,
  record: LayerRecord,
  layers: ReadonlyMap<LayerId, LayerRecord>,
  findings: Findings,
): void {
  const { depth } = record;
  const under = layersUnder(record);
  if (under.length === 0 && depth !== 0)
    findings.add(`layer ${layer} stands on nothing but has depth ${depth}`);
  for (const parent of under) {
    const below = layers.get(parent);
    if (below === undefined) {
      findings.add(`layer ${layer} stands on layer ${parent}, which is missing`);
      continue;
    }
    if (below.state !== 'frozen')
      findings.add(`layer ${layer} stands on layer ${parent}, which is ${below.state}`);
    // Flattening removes layers below and leaves the depths above as they are, so a layer's depth may exceed that of
    // the layer below it by more than 1.
    if (depth <= below.depth) {
      findings.add(`layer ${layer} has depth ${depth}, the one below it ${below.depth}`);
    }
  }
}

/** An inode without a name exists only while a process has it open, and is listed as an orphan. */
export function checkOrphans({ engine, layers, settled }: Checked, findings: Findings): void {
  const { tables } = engine;
  const open = new Set(engine.openTrees.forks.map(({ info }) => info.layer));
  for (const [layer, { state }] of settled) {
    if (state !== 'writable') continue;
    const view = layerView(tables, layers, layer);
    const orphans = new Set(tables.orphans.inos(layer));
    for (const ino of orphans) {
      findings.checked++;
      const record = view.record(ino);
      if (record === undefined) findings.add(`orphan ${ino} of layer ${layer} does not exist`);
      else if (record.nlink === 0 && !open.has(layer)) {
        findings.add(
          `inode ${ino} of layer ${layer} has no name, no process has it open, and it was not freed`,
        );
      }
    }
    for (const [ino, record] of tables.inodes.entries(layer)) {
      if (record.mode === 0 || record.nlink > 0 || orphans.has(ino)) continue;
      findings.add(`inode ${ino} of layer ${layer} has no name and is not listed as an orphan`);
    }
  }
}

/**
 * No number is given out twice: each counter is above every number in use, and ranges of inode numbers are disjoint.
 */
export function checkCounters(checked: Checked, findings: Findings): void {
  const { tables, blobs } = checked.engine;
  const above = (name: Parameters<typeof tables.counters.get>[0], used: number, what: string): void => {
    findings.checked++;
    const next = tables.counters.get(name);
    if (next <= used) findings.add(`counter ${name} is ${next}, but ${what} ${used} exists`);
  };
  let [maxLayer, maxBlob, maxTree, maxIno, maxEpoch] = [0, 0, 0, 0, 0];
  for (const [layer, { inoEnd, droppedEpoch }] of tables.layers.entries()) {
    maxLayer = Math.max(maxLayer, layer);
    maxIno = Math.max(maxIno, inoEnd - 1);
    maxEpoch = Math.max(maxEpoch, droppedEpoch ?? 0);
  }
  for (const [blob] of tables.blobs.entries()) maxBlob = Math.max(maxBlob, blob);
  for (const blob of blobs.list()) maxBlob = Math.max(maxBlob, blob);
  for (const [, { id }] of tables.trees.entries()) maxTree = Math.max(maxTree, id);
  for (const layer of checked.layers.keys())
    for (const ino of tables.inodes.inos(layer)) if (!isDerived(ino)) maxIno = Math.max(maxIno, ino);
  for (const [, { epoch }] of tables.dropped.entries()) maxEpoch = Math.max(maxEpoch, epoch);
  above('nextLayer', maxLayer, 'layer');
  above('nextBlob', maxBlob, 'blob');
  above('nextTree', maxTree, 'tree');
  above('nextIno', maxIno, 'inode number');
  findings.checked++;
  const epoch = tables.counters.get('epoch');
  if (epoch < maxEpoch)
    findings.add(`counter epoch is ${epoch}, but something was dropped in epoch ${maxEpoch}`);
  checkRanges(checked, findings);
}

/**
 * Each number that a writable layer has reserved but not yet given out is reserved by no other layer and used by no
 * inode.
 */
function checkRanges({ engine, layers, settled }: Checked, findings: Findings): void {
  const { tables } = engine;
  const ranges: { layer: LayerId; start: number; end: number }[] = [];
  for (const [layer, { state, inoNext, inoEnd }] of layers) {
    if (state === 'writable' && inoEnd > inoNext) ranges.push({ layer, start: inoNext, end: inoEnd });
  }
  ranges.sort((a, b) => a.start - b.start);
  for (let index = 0; index < ranges.length; index++) {
    findings.checked++;
    const { layer, start, end } = ranges[index]!;
    const next = ranges[index + 1];
    if (next !== undefined && next.start < end) {
      findings.add(`layers ${layer} and ${next.layer} both give out inode number ${next.start}`);
    }
    if (!settled.has(layer)) continue;
    for (const ino of tables.inodes.inos(layer)) {
      if (ino >= start && ino < end)
        findings.add(`layer ${layer} will give out inode number ${ino} a second time`);
    }
  }
}
